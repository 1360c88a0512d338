"""The HTTP API and the dashboard, over a service that runs in the same process.

    contract     bodies, query strings and answers as types
    routes       the table of routes: the application and its OpenAPI document are both made from it
    endpoints    one function a route, over a request that is parsed already
    endpoint     one call: parses it, checks the key, encodes the answer or the error
    context      what an endpoint works with: the API, the call
    app          puts the routes together; operations: health checks, /metrics, documents, the dashboard's files
    bridge       from the event loop to the engine's thread and back
    keys, guard  what a caller may do: API keys and their scopes, origins of web pages
    server       the thread that serves; protocol: limits of a connection
    stats        the figures of /v1/stats; prometheus: those of /metrics; meter: counts of requests; tracing: spans
    static/      the dashboard

Knows of the service only its `ServiceHandle` and the requests of `service.requests`. Needs the extra
`stream-rec[serve]`.
"""
