"""Ingress: who serves which one, where a request goes, and what the proxy is told.

Functions from objects to values: Ingresses, classes, Services, EndpointSlices and Secrets become a
`Routing`, and that a configuration of HAProxy.
"""
