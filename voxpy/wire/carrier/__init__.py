"""The provider's own side of each media stream: the mirror image of ``voxpy.wire.mediastream``."""
