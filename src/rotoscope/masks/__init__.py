"""Masks in and out."""
