"""The load generator of ``voxpy bench``: callers at a provider and a realtime service, measured.

Linux only: it uses epoll and /proc.
"""
