"""The live page in a real browser: Debian's chromium, driven through its own debugging pipe.

The browser is a child of the test and is told by two file descriptors what to do, so nothing is
fetched for it and the tests stay in one process with the servers that they hurt.

    chromium   the browser: pages, what they evaluate, and what they complained about
    stub       a server that answers as a test wants, right or wrong
    samples    what a daemon says, made by its own code of a simulated cluster
    screens    the pictures of docs: python -m tests.browser.screens
"""
