// The buttons. They need the token from the URL that the monitor printed.

const KEY = "twinstep-monitor-token";

// From the fragment into this tab's storage, and out of the address bar.
function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    sessionStorage.setItem(KEY, found);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY);
}

export function wireCommands(buttons, report) {
  const token = takeToken();
  for (const button of buttons) {
    if (!token) {
      button.title = "View only: open the URL with the token that the monitor printed to act.";
      continue;
    }
    button.disabled = false;
    button.addEventListener("click", () => run(button, token, report));
  }
  document.addEventListener("keydown", (event) => {
    if (event.repeat || !event.altKey || event.ctrlKey || event.metaKey) return;
    const keys = `Alt+${event.code.replace("Key", "")}`;
    const button = buttons.find((b) => b.getAttribute("aria-keyshortcuts") === keys);
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  });
}

async function run(button, token, report) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(`/api/commands/${button.id}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
    });
    const { message } = await response.json();
    report(response.ok ? message : `Refused: ${message}`, response.ok);
  } catch {
    report("The monitor did not answer.", false);
  } finally {
    button.removeAttribute("aria-busy");
  }
}
