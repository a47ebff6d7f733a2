"""The napari plugin: videos that stream, a sample, and one widget that segments.

``manifest.yaml`` says what is where.
"""
