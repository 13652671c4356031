"""Notices."""

from typing import Final

NOTICES: Final = {
    "items": [
        {
            "notice_id": "5f1c2a9be07d44105f1c2a9be07d4410",
            "job_id": "job-4711",
            "audience": "customer",
            "kind": "en_route",
            "status": "sent",
            "channel": "mail",
            "recipient_id": "c-204",
            "branch": "liverpool",
            "language": "en",
            "event_at": "2026-03-02T13:41:10.000Z",
            "created_at": "2026-03-02T13:42:02.310Z",
            "updated_at": "2026-03-02T13:42:03.020Z",
            "sent_at": "2026-03-02T13:42:02.510Z",
            "attempt": 1,
            "window_from": "2026-03-02T14:05:00.000Z",
            "window_to": "2026-03-02T14:20:00.000Z",
        }
    ],
    "next_cursor": "WzE3NzI0NTg5MjIzMTAsIjVmMWMyYTliIl0",
}
