"""The call history: a row per session and per call in ``.voxpy/history.db`` (SQLite)."""
