"""A Kubernetes API server inside the process: TLS, tokens, versions, watches, custom resources; nothing that lasts.

For demonstrations and fast tests. What it answers, a genuine kube-apiserver answers too: the suite in
``tests/contract/api`` runs against both.
"""
