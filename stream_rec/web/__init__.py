"""The HTTP API and the dashboard, over a service that runs in the same process.

    contract     what goes over the wire, as types: requests, answers, errors
    routes       which path does what, for whom: the application and its OpenAPI document are both made of this table
    endpoints_*  one function a path: parse, ask, encode
    bridge       from the event loop to the recommender thread and back
    keys         who may do what
    server       the thread that serves
    meter        what is counted of requests; prometheus, all figures of /metrics; tracing, spans
    static/      the dashboard

Knows of the service only what `service.served` shows. Needs the extra `stream-rec[serve]`.
"""
