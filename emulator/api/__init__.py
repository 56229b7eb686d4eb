"""Kubernetes objects: read, checked, completed with defaults, stored and served."""
