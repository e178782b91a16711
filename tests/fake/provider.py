"""A language model's provider, as far as Lectern sees one: Anthropic's Messages and OpenAI's chat completions over HTTP/1.1.

    with Provider() as provider:
        provider.plan(Answer(tokens=["In the ", "beginning"], between_s=0.1))     # for the next question
        … start actors with provider.environment("anthropic") …
        provider.questions[-1].body["messages"]

Each question takes the next planned answer, else `provider.usual`. An answer says what goes wrong, and when; a question
remembers what was asked and when its connection was closed by the other side. By itself:
`provider.py PORT [--tokens N] [--between SECONDS]` answers every question in the same way, for loads.
"""

import argparse
import asyncio
import dataclasses
import json
import ssl
import threading
import time

PARTS = {  # what a form is filled with, by the names that are asked for
    "historical_context": "Written in Judea.",
    "theological_significance": "It speaks of love.",
    "practical_application": "Love one another.",
    "definition": "Selfless love.",
    "biblical_usage": "Often of God.",
    "original_language": "agape",
}


@dataclasses.dataclass
class Answer:
    tokens: list = dataclasses.field(default_factory=lambda: ["For ", "God ", "so ", "loved"])
    stop: str = "end_turn"  # in Anthropic's words
    parts: dict = None  # of a form; None: PARTS; what is given stands there as it is
    status: int = 200  # another one: an error's body
    headers: dict = dataclasses.field(default_factory=dict)  # more field lines
    before_s: float = 0  # until the head of the answer
    gate: threading.Event = None  # nothing of the answer comes before it is set
    first_s: float = 0  # from the head to the first token
    between_s: float = 0  # from token to token
    pings: bool = False  # and events that nobody knows, between tokens
    bytewise: bool = False  # each byte by itself
    hold_after: int = None  # tokens, then it waits for `go`; a whole answer does where it is not None
    go: threading.Event = dataclasses.field(default_factory=threading.Event)
    cut_after: int = None  # tokens, then the connection is cut
    error_after: int = None  # tokens, then an event says an error
    error_type: str = "overloaded_error"
    raw: bytes = None  # instead of the body of a whole answer, or of the events
    refuse: bool = False  # the connection is closed without an answer


@dataclasses.dataclass
class Question:
    path: str
    headers: dict
    body: dict
    came: float
    sent: int = 0  # tokens
    left: float = None  # when the other side closed the connection within the answer
    ended: float = None  # when the answer was complete


class Provider:
    def __init__(self, port=0, host="127.0.0.1", tls=None):
        """`tls`: files of a certificate and its key, for https."""
        self.port = port
        self.host = host
        self._tls = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        self.usual = Answer()
        self.questions = []
        self.connections = 0  # so far
        self.open = 0  # answers under way
        self._plans = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the provider did not start")
        return self

    def __exit__(self, *_):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def plan(self, *answers):
        self._plans.extend(answers)

    def forget(self):
        self._plans.clear()
        self.questions.clear()
        self.usual = Answer()

    @property
    def address(self):
        return f"{'http' if self._tls is None else 'https'}://{self.host}:{self.port}"

    def environment(self, protocol="anthropic"):
        """What an actor needs in order to ask here."""
        if protocol == "anthropic":
            return {"LECTERN_LLM": "anthropic", "ANTHROPIC_API_KEY": "key-of-a-test", "ANTHROPIC_BASE_URL": self.address}
        return {"LECTERN_LLM": "openai", "OPENAI_API_KEY": "key-of-a-test", "OPENAI_BASE_URL": self.address + "/v1"}

    # ---- the server ----

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, self.host, self.port, backlog=2048, limit=4 << 20, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        early = b""  # of the next question, which came while this one was being answered
        try:
            while early is not None:
                early = await self._one(reader, writer, early)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader, writer, early):
        """One question and its answer. What came early of the next one, or None: the connection ends."""
        head = early + await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {n.strip().lower(): v.strip() for n, v in (f.split(":", 1) for f in fields if ":" in f)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        question = Question(line.split()[1], headers, body, time.monotonic())
        self.questions.append(question)
        if is_refused(body["messages"]):
            answer = Answer(status=400, error_type="invalid_request_error")
        else:
            answer = self._plans.pop(0) if self._plans else self.usual
        self.open += 1
        watcher = asyncio.ensure_future(self._watch(reader))
        sender = asyncio.ensure_future(self._answer(writer, question, answer))
        try:
            await asyncio.wait((watcher, sender), return_when=asyncio.FIRST_COMPLETED)
            early = watcher.result() if watcher.done() else b""
            if not sender.done() and not early:
                question.left = time.monotonic()
                return None
            more = await sender
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            return early if more else None
        finally:
            sender.cancel()
            self.open -= 1

    @staticmethod
    async def _watch(reader):
        """Ends when the other side closes, or with the first byte of its next question."""
        try:
            return await reader.read(1)
        except ConnectionError:
            return b""

    async def _answer(self, writer, question, answer):
        await asyncio.sleep(answer.before_s)
        while answer.gate is not None and not answer.gate.is_set():
            await asyncio.sleep(0.01)
        if answer.refuse:
            return False
        if answer.status != 200:
            detail = {"type": "error", "error": {"type": answer.error_type, "message": f"no: {answer.status}"}}
            body = answer.raw if answer.raw is not None else json.dumps(detail).encode()
            await self._whole(writer, answer, body)
        elif question.body.get("stream"):
            if not await self._stream(writer, question, answer):
                return False
        else:
            await asyncio.sleep(answer.first_s + answer.between_s * len(answer.tokens))
            if answer.hold_after is not None:
                await self._held(answer)
            body = answer.raw if answer.raw is not None else json.dumps(whole(question, answer)).encode()
            await self._whole(writer, answer, body)
        question.ended = time.monotonic()
        return True

    @staticmethod
    async def _held(answer):
        while not answer.go.is_set():
            await asyncio.sleep(0.005)

    async def _whole(self, writer, answer, body):
        lines = "".join(f"{n}: {v}\r\n" for n, v in answer.headers.items())
        head = f"HTTP/1.1 {answer.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        if answer.cut_after is not None:
            body = body[:len(body) // 2]
        await self._send(writer, head.encode() + body, answer.bytewise)
        if answer.cut_after is not None:
            raise ConnectionResetError

    async def _send(self, writer, data, bytewise):
        for piece in ([data[i:i + 1] for i in range(len(data))] if bytewise else [data]):
            writer.write(piece)
            await writer.drain()
            if bytewise:
                await asyncio.sleep(0)

    async def _chunk(self, writer, data, answer):
        await self._send(writer, b"%x\r\n%s\r\n" % (len(data), data), answer.bytewise)

    async def _stream(self, writer, question, answer):
        lines = "".join(f"{n}: {v}\r\n" for n, v in answer.headers.items())
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
        await self._send(writer, head.encode(), answer.bytewise)
        await asyncio.sleep(answer.first_s)
        if answer.raw is not None:
            await self._chunk(writer, answer.raw, answer)
        else:
            speak = anthropic_events if "/messages" in question.path else openai_events
            for data, is_token in speak(answer):
                if question.sent == answer.hold_after:
                    await self._held(answer)
                if is_token and question.sent == answer.cut_after:
                    return False
                await self._chunk(writer, data, answer)
                if is_token:
                    question.sent += 1
                    await asyncio.sleep(answer.between_s)
            if answer.cut_after is not None or answer.error_after is not None:
                return False
        await self._send(writer, b"0\r\n\r\n", answer.bytewise)
        return True


def is_refused(messages):
    """Somebody speaks twice, or says nothing."""
    said = [m for m in messages if m["role"] != "system"]
    return any(m["role"] != ("user", "assistant")[i % 2] or not m["content"].strip() for i, m in enumerate(said))


# ---- the two protocols ----


def filled(question, answer):
    """The parts of the form that is asked for."""
    if "tools" in question.body:
        schema = question.body["tools"][0]["input_schema"]
    else:
        schema = question.body["response_format"]["json_schema"]["schema"]
    return answer.parts if answer.parts is not None else {name: PARTS.get(name, "?") for name in schema["required"]}


def whole(question, answer):
    text = "".join(answer.tokens)
    if "/messages" in question.path:
        content = [{"type": "text", "text": text}]
        stop = answer.stop
        if "tools" in question.body:
            content = [{"type": "tool_use", "id": "t1", "name": question.body["tool_choice"]["name"], "input": filled(question, answer)}]
            stop = "tool_use" if stop == "end_turn" else stop
        return {"id": "m1", "type": "message", "role": "assistant", "content": content, "stop_reason": stop}
    if "response_format" in question.body:
        text = json.dumps(filled(question, answer))
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish(answer.stop)}
    return {"id": "c1", "object": "chat.completion", "choices": [choice]}


def finish(stop):
    return {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}.get(stop, stop)


def event(name, data):
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def anthropic_events(answer):
    yield event("message_start", {"message": {"id": "m1", "role": "assistant", "content": []}}), False
    yield event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}), False
    for number, token in enumerate(answer.tokens):
        if number == answer.error_after:
            yield event("error", {"error": {"type": answer.error_type, "message": "in the middle"}}), False
            return
        if answer.pings:
            yield event("ping", {}) + event("news_of_tomorrow", {"delta": {"type": "text_delta", "text": "no"}}), False
        yield event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": token}}), True
    yield event("content_block_stop", {"index": 0}), False
    yield event("message_delta", {"delta": {"stop_reason": answer.stop}, "usage": {"output_tokens": 9}}), False
    yield event("message_stop", {}), False


def openai_events(answer):
    def data(choice):
        return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n".encode()

    yield data({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}), False
    for number, token in enumerate(answer.tokens):
        if number == answer.error_after:
            yield f"data: {json.dumps({'error': {'message': 'in the middle'}})}\n\n".encode(), False
            return
        if answer.pings:
            yield b": ping\n\nevent: unknown\ndata: {}\n\n", False
        yield data({"index": 0, "delta": {"content": token}, "finish_reason": None}), True
    yield data({"index": 0, "delta": {}, "finish_reason": finish(answer.stop)}), False
    yield b"data: [DONE]\n\n", False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--tokens", type=int, default=10)
    parser.add_argument("--between", type=float, default=0.1)
    parser.add_argument("--first", type=float, default=0.0)
    given = parser.parse_args()
    with Provider(given.port) as provider:
        provider.usual = Answer(tokens=[f"token{i} " for i in range(given.tokens)], between_s=given.between,
                                first_s=given.first)
        print(provider.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
