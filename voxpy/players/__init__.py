"""Players: what sounds in a call without anybody speaking (VoxEngine: Player module)."""
