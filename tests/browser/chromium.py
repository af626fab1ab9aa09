"""Chromium without a window, by the messages of its debugging protocol.

Each message is JSON that ends with a zero byte, on descriptor 3 to the browser and on 4 from it.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

LIMIT = 30.0
PROGRAM = os.environ.get('CHROMIUM') or shutil.which('chromium')
#: Why no page can be looked at; '' where one can.
LACK = '' if PROGRAM else 'LIVE PAGE NOT TRIED IN A BROWSER: no chromium; install chromium, or ' \
    'name it by CHROMIUM'
#: It asks nobody but this host.  Root, and who is in a container, may have no sandbox.
OPTIONS = ('--headless=new', '--remote-debugging-pipe', '--no-sandbox', '--no-first-run',
           '--disable-gpu', '--disable-background-networking', '--disable-component-update',
           '--disable-sync', '--disable-default-apps', '--disable-extensions', '--no-pings',
           '--hide-scrollbars', '--force-color-profile=srgb', '--disable-dev-shm-usage',
           '--mute-audio', '--disable-features=Translate,OptimizationHints,MediaRouter',
           '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.*')
#: Text as it is shown, of what a selector finds.
SHOWN = '(each => each && (each.getClientRects().length ? each.innerText : ""))(' \
    'document.querySelector(%s))'


class BrowserError(Exception):
    """The browser refused, or did not answer in time."""


class Chromium:
    """The browser; end it by `close`."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix='ahm-chromium-')
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        argv = [PROGRAM, '--user-data-dir=' + self.directory] + list(OPTIONS)

        def place():
            # By way of high numbers, for one of these pipes may have the number 3 or 4 itself.
            os.dup2(to_child, 200)
            os.dup2(from_child, 201)
            os.dup2(200, 3)
            os.dup2(201, 4)
        self._log = open(os.path.join(self.directory, 'stderr'), 'wb')
        self._process = subprocess.Popen(
            argv + ['about:blank'], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            close_fds=False, pass_fds=(), preexec_fn=place)
        os.close(to_child)
        os.close(from_child)
        self._received, self._number = b'', 0
        self._answers = {}
        self.pages = {}

    def page(self, languages='en-US,en'):
        """A new page whose user reads these languages."""
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        page = self.pages[session] = Page(self, session, target)
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            page.call(domain + '.enable')
        agent = self.call('Browser.getVersion')['userAgent']
        page.call('Network.setUserAgentOverride', userAgent=agent, acceptLanguage=languages)
        return page

    def call(self, method, session=None, **params):
        """The result of a method of the protocol."""
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': params}
        if session is not None:
            message['sessionId'] = session
        data, number = json.dumps(message).encode() + b'\0', self._number
        while data:
            data = data[os.write(self._out, data):]
        until = time.monotonic() + LIMIT
        while number not in self._answers:
            if not self.pump(until - time.monotonic()):
                raise BrowserError('%s: no answer in %g s; %s' % (method, LIMIT, self._said()))
        answer = self._answers.pop(number)
        if 'error' in answer:
            raise BrowserError('%s: %s' % (method, answer['error']))
        return answer['result']

    def pump(self, seconds):
        """Take what the browser says within so many seconds; whether it said something."""
        if seconds < 0 or not select.select([self._in], [], [], seconds)[0]:
            return False
        data = os.read(self._in, 1 << 20)
        if not data:
            raise BrowserError('the browser ended; %s' % self._said())
        *whole, self._received = (self._received + data).split(b'\0')
        for text in whole:
            message = json.loads(text.decode())
            if 'id' in message:
                self._answers[message['id']] = message
            elif message.get('sessionId') in self.pages:
                self.pages[message['sessionId']].told(message['method'], message['params'])
        return True

    def _said(self):
        with open(self._log.name, 'rb') as file:
            return file.read()[-500:].decode('utf-8', 'replace')

    def close(self):
        """End the browser and its children."""
        try:
            self.call('Browser.close')
        except (BrowserError, OSError):
            pass        # it is gone already, or is ended in the next line
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Page:
    """A page, with all that it complained about."""

    def __init__(self, browser, session, target):
        self.browser, self._session, self._target = browser, session, target
        self.complaints = []        # exceptions, errors of the console, violations of its policy
        self.failed = []            # what the network log has: answers that are no 200, and none

    def told(self, method, params):
        """An event."""
        if method == 'Runtime.exceptionThrown':
            self.complaints.append(json.dumps(params['exceptionDetails']))
        elif method == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'warning'):
            self.complaints.append(json.dumps(params['args']))
        elif method == 'Log.entryAdded' and params['entry']['level'] in ('error', 'warning'):
            entry = params['entry']
            (self.failed if entry['source'] == 'network' else self.complaints).append(
                '%s: %s %s' % (entry['source'], entry['text'], entry.get('url', '')))

    def call(self, method, **params):
        """The result of a method of the protocol, for this page."""
        return self.browser.call(method, self._session, **params)

    def go(self, url):
        """Load a page, and wait for its script."""
        self.call('Page.navigate', url=url)
        self.wait('document.readyState === "complete" && location.href.startsWith(%s)'
                  % json.dumps(url.partition('?')[0]))

    def evaluate(self, expression):
        """What an expression comes to, also one that has to be waited for."""
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True,
                           awaitPromise=True)
        if 'exceptionDetails' in answer:
            raise BrowserError('%s: %s' % (expression, answer['exceptionDetails']))
        return answer['result'].get('value')

    def wait(self, expression, limit=LIMIT):
        """Wait until an expression is true; returns what it is."""
        until = time.monotonic() + limit
        while True:
            found = self.evaluate(expression)
            if found:
                return found
            if time.monotonic() > until:
                raise BrowserError('%s was not so within %g s; the page reads: %s' % (
                    expression, limit, self.evaluate('document.body.innerText')[:3000]))
            self.browser.pump(0.05)

    def browser_waits(self, condition, limit=LIMIT):
        """Wait, with the browser at work, until a condition of this process holds."""
        until = time.monotonic() + limit
        while not condition():
            if time.monotonic() > until:
                raise BrowserError('it did not come to that within %g s' % limit)
            self.browser.pump(0.05)

    def text(self, selector):
        """The text of an element, as it is shown: '' of one that is hidden; None: there is none."""
        return self.evaluate(SHOWN % json.dumps(selector))

    def reads(self, selector, part, limit=LIMIT):
        """Wait until the text of an element, as it is shown, holds this."""
        self.wait('(%s || "").includes(%s)' % (SHOWN % json.dumps(selector), json.dumps(part)),
                  limit)

    def looks(self, width, height, scheme='light', scale=1):
        """Be so large, in pixels, and light or dark."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': scheme}])

    def press(self, key, code=0, text=''):
        """Press a key."""
        more = {'text': text} if text else {}
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code, **more)

    def picture(self, path, whole=True):
        """Write what is seen, or the whole page, as PNG."""
        data = self.call('Page.captureScreenshot', format='png', captureBeyondViewport=whole)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(data['data']))

    def close(self):
        """Close it."""
        self.browser.pages.pop(self._session)
        self.browser.call('Target.closeTarget', targetId=self._target)
