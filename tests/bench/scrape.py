#!/usr/bin/env python3
"""usage: scrape.py FILE...

Reads /metrics of each process once a second, as Prometheus would; each FILE says where a process
offers them. Writes a line after the first time, and goes on until SIGTERM.
"""
import itertools
import signal
import sys
import threading
from urllib.request import urlopen


def scrape(address):
    with urlopen("http://%s/metrics" % address, timeout=5) as answer:
        if b"\nlectern_" not in answer.read():
            sys.exit("scrape.py: no metrics from " + address)


def main():
    addresses = [open(name, encoding="ascii").read().strip() for name in sys.argv[1:]]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    for turn in itertools.count():
        for address in addresses:
            scrape(address)
        if turn == 0:
            print("scraping", len(addresses), flush=True)
        if stop.wait(1):
            return


main()
