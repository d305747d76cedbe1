"""The API groups of the custom resources here, and the npm packages with their schemas."""

CUSTOM_GROUPS = {"monitoring.coreos.com": "prometheus-operator", "gateway.networking.k8s.io": "gateway-api"}
