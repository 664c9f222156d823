"""A router that obeys the Gateway API's HTTPRoutes, standing in for Traefik or another real implementation.

Specification: https://gateway-api.sigs.k8s.io/reference/spec/ (v1). It watches GatewayClass, Gateway, HTTPRoute, Service and EndpointSlice through the
Kubernetes API, proxies HTTP/1.1 and writes the statuses the specification asks for.

Covered: hostnames of listeners and routes with wildcards and their intersection; path (Exact, PathPrefix, RegularExpression), header, query and
method matches with the specification's precedence; weights (0 gets nothing, an invalid backend's share is answered 500, a backend without ready
endpoints 503, no matching route 404); filters RequestHeaderModifier, ResponseHeaderModifier (rule and backend), RequestRedirect, URLRewrite; the
timeouts `request` and `backendRequest` (504); status of Gateways and HTTPRoutes. Regular expressions match anywhere in the value unless anchored, as in
Traefik. A connection that an endpoint refuses goes to the next endpoint of the same backend; nothing that was sent is ever sent twice.

Known gaps: one address and port for every HTTP listener whatever port it names (so listeners differ by hostname only); no TLS; no upgrade to
WebSocket; no RequestMirror, ExtensionRef or CORS filter (such a route is not accepted); no ReferenceGrant (a backend in another namespace is refused);
`allowedRoutes` knows Same and All, a Selector admits nothing.

Below `/-/gateway/` the router answers for itself: `metrics` (requests per route, backend and status in Prometheus' text format), `healthz`.
"""
