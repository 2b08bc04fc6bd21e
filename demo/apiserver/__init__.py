"""A Kubernetes API server in this process: TLS, tokens, watches, custom resources; its objects are in memory only.

For demonstrations and fast tests. Its responses are those of a genuine kube-apiserver: the suite in
``tests/contract/api`` runs against both.
"""
