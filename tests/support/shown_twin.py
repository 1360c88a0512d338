"""What sessions were shown, in plain Python: everything is worked out from the whole log each time it is asked for."""

from stream_rec.core.events import Event, Forget
from stream_rec.core.index.reference import ReferenceStore
from stream_rec.core.limits import Limits
from stream_rec.core.shown import ShownRules

Visit = dict[str, list[int]]
"""By item: how often, and when first."""


class ShownTwin:
    """A log, whose clicks go to a reference store; shown events are looked at in the order of the log."""

    def __init__(self, rules: ShownRules, limits: Limits) -> None:
        self.rules = rules
        self.limits = limits
        self.clicks = ReferenceStore(limits)
        self.log: list[tuple[Event, str]] = []
        """Every event that counts, with its outcome."""

    def apply(self, event: Event | Forget) -> str:
        if isinstance(event, Forget):
            shown_to = {each.session_id for each, _ in self.log if event.user_id in {each.user_id} - {None}}
            gone = {event.session_id} | self._sessions_of(event.user_id) | shown_to
            self.clicks.forget(event.session_id, event.user_id)
            self.log = [(each, outcome) for each, outcome in self.log if each.session_id not in gone]
            return "forgotten"
        if not event.type.startswith("shown"):
            outcome = self.clicks.apply(event)
        elif event.type.count(":") > 2 or event.type.endswith("!"):
            return "unknown_type"
        elif self.clicks.watermark is not None and event.timestamp < self.clicks.watermark - self.limits.lateness_ms:
            return "late"
        elif event.event_id is not None and event.event_id in self._visit(event.session_id, event.timestamp)[1]:
            return "duplicate"
        else:
            outcome = "shown"
        self.log.append((event, outcome))
        return outcome

    def _sessions_of(self, user_id: str | None) -> set[str]:
        return {name for name, users in self.clicks.users.items() if user_id in users}

    def _visit(self, session_id: str, until: int | None = None) -> tuple[Visit, set[str], int]:
        """Go through the log of a session; *until* is the time of an event that joins only what is not over then."""
        items: Visit = {}
        ids: set[str] = set()
        last = -(10**15)
        open_ms = self.rules.window_ms - self.limits.lateness_ms
        for event, outcome in self.log:
            if event.session_id != session_id:
                continue
            over = event.timestamp > last + open_ms
            if outcome == "shown":
                if over:
                    items, ids, last = {}, set(), event.timestamp
                last = max(last, event.timestamp)
                if event.event_id is not None:
                    ids.add(event.event_id)
                item = items.setdefault(event.item_id, [0, event.timestamp])
                item[0] += 1
                item[1] = min(item[1], event.timestamp)
            elif outcome == "applied" and not over and event.timestamp >= items.get(event.item_id, [0, 10**15])[1]:
                del items[event.item_id]
        if until is not None and until > last + open_ms:
            return {}, set(), last
        return items, ids, last

    def counts(self, session_id: str) -> dict[str, int]:
        items, _, last = self._visit(session_id)
        now = self.clicks.watermark
        if now is not None and last < now - self.rules.window_ms:
            return {}
        return {name: count for name, (count, _) in items.items()}

    def ignored(self, session_id: str) -> set[str]:
        most = self.rules.at_most
        return {name for name, count in self.counts(session_id).items() if most is not None and count >= most}
