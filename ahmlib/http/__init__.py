"""AHM seen from outside by HTTP: health checks, metrics and what is known of the cluster.

Who answers 200 at /primary gets the writes of whoever routes by it, so this is a second VIP.  All
answers come from memory, in the daemon's own loop, and nothing that is asked here changes anything.

    request    bytes -> what is asked, or which error
    response   an answer -> bytes
    server     sockets: many clients, none of them trusted
    health     the paths of health checks, as a table of pure functions of a View
    view       what this node knows at an instant
    pages      what is known of the cluster, in the form that Patroni's tools read
    live       what the live page shows beside the status
    page       the live page itself, ui.html, and what it may do
    timelines  the timelines that were left, and who leads since
    metrics    text for Prometheus
    counters   what happened since the start, counted
    causes     why, as a word of a closed list
    looks      the WAL directory, looked at by a child now and then
    site       which path is answered by what
"""
