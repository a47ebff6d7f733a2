"""Frames in: files, folders of images, cameras and streams, arrays."""

from rotoscope.video.base import Video
from rotoscope.video.frame import Frame
from rotoscope.video.opening import open_video
from rotoscope.video.writer import VideoWriter

__all__ = ["Frame", "Video", "VideoWriter", "open_video"]
