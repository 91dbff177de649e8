// WebSockets that come back by themselves.

const FIRST_RETRY_MS = 300;
const LAST_RETRY_MS = 3000;

export function connect(path, { onMessage, onOpen = () => {}, onClose = () => {} }) {
  let retryMs = FIRST_RETRY_MS;

  function open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${path}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      retryMs = FIRST_RETRY_MS;
      onOpen();
    };
    socket.onmessage = (event) => onMessage(event.data, socket);
    socket.onclose = () => {
      onClose();
      setTimeout(open, retryMs);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    };
  }

  open();
}
