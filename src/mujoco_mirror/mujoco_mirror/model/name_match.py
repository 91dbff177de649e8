"""Which model name a wire name means. Pure strings, no MuJoCo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sim_bridge.errors import InvalidRequest


def last_segment(name: str) -> str:
    return name.rsplit("/", 1)[-1]


class NameMatcher:
    """Finds the model's name for ``entity/name`` (or a bare name) among ``known``.

    Tried in this order: the name itself; the entity's prefix from the rules, ``entity/``,
    ``entity_`` or ``entity-`` before the last segment; the last segment alone; the only
    model name that ends in ``/`` and the last segment.
    """

    def __init__(self, known: Iterable[str], prefixes: Mapping[str, str] | None = None) -> None:
        self._known = set(known)
        self._prefixes = dict(prefixes or {})
        self._by_last: dict[str, list[str]] = {}
        for name in sorted(self._known):
            self._by_last.setdefault(last_segment(name), []).append(name)

    def find(self, wire: str) -> str | None:
        entity, slash, _ = wire.partition("/")
        tail = last_segment(wire)
        candidates = [wire]
        if entity in self._prefixes:
            candidates.append(f"{self._prefixes[entity]}{tail}")
        if slash:
            candidates += [f"{entity}_{tail}", f"{entity}-{tail}", tail]
        for candidate in candidates:
            if candidate in self._known:
                return candidate
        ending = self._by_last.get(tail, [])
        return ending[0] if len(ending) == 1 and (not slash or "/" not in ending[0]) else None


def require_injective(kind: str, pairs: Iterable[tuple[str, str]]) -> None:
    """InvalidRequest when two wire names would drive the same model name."""
    taken: dict[str, str] = {}
    for wire, model in pairs:
        other = taken.setdefault(model, wire)
        if other != wire:
            raise InvalidRequest(
                f"{kind}s {other!r} and {wire!r} both mean the model's {kind} {model!r}: "
                "tell them apart with prefixes or a rule each"
            )
