"""Find out why a broker cannot be reached: kafka-python only says that it cannot.

The client tries until its timeout, whatever the reason, and drops a refusal that comes together with the end of the
connection (3.0.12). So where it has failed, one connection is made without it: the handshake of TLS, then the
credentials. Sends no request about topics or groups.
"""

import contextlib
import socket
import ssl
from collections.abc import Mapping
from typing import Final

import kafka.errors as theirs
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.transport.kafka.untyped import Untyped

__all__ = ["diagnose"]

_VERSION: Final = 1
_BYTES: Final = 1 << 16


def diagnose(servers: str, settings: Mapping[str, Untyped], timeout_s: float) -> BaseException | None:
    """Connect to the first of the *servers* that accepts, as *settings* say; return the error, if any.

    *timeout_s* is that of each step of the connection.
    """
    for server in servers.split(","):
        host, _, port = server.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as plain:
                return _talk(plain, server, settings)
        except (OSError, theirs.KafkaError):
            continue
    return None


def _talk(plain: socket.socket, server: str, settings: Mapping[str, Untyped]) -> BaseException | None:
    protocol = settings.get("security_protocol", "PLAINTEXT")
    host = server.rpartition(":")[0].strip("[]")
    with contextlib.ExitStack() as open_streams:
        stream = plain
        if protocol.endswith("SSL"):
            try:
                stream = settings["ssl_context"].wrap_socket(plain, server_hostname=host)
            except ssl.SSLError as error:
                return _without_tls(error, server)
            except ConnectionError as error:
                return SettingsError("kafka.security.protocol", f"{server} ends the handshake of TLS: {error}")
            open_streams.enter_context(stream)
        return _authenticate(stream, host, settings) if protocol.startswith("SASL") else None


def _without_tls(error: ssl.SSLError, server: str) -> SettingsError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return SettingsError(
            "kafka.ssl.ca.location",
            f"the certificate of {server} cannot be verified: {error.verify_message}; name the file of certificates "
            "to trust",
        )
    reason = f"{server} refuses the handshake of TLS: {error.reason or error}"
    return SettingsError("kafka.security.protocol", f"{reason}; is it a listener without TLS?")


def _authenticate(stream: socket.socket, host: str, settings: Mapping[str, Untyped]) -> BaseException | None:
    """Give the credentials, as the client would; return the broker's refusal."""
    name = settings["sasl_mechanism"]
    protocol = KafkaProtocol(client_id="stream-rec")
    answer = _ask(stream, protocol, SaslHandshakeRequest(mechanism=name))
    if answer is None:
        return None
    if answer.error_code or name not in answer.mechanisms:
        unknown: BaseException = theirs.UnsupportedSaslMechanismError(
            f"the broker accepts {', '.join(answer.mechanisms)}, not {name}"
        )
        return unknown
    mechanism = get_sasl_mechanism(name)(host=host, **settings)
    while not mechanism.is_done():
        try:
            token = mechanism.auth_bytes()
        except StreamRecError as error:
            return error
        answer = _ask(stream, protocol, SaslAuthenticateRequest(token))
        if answer is None:
            return None
        if answer.error_code:
            refusal: BaseException = theirs.SaslAuthenticationFailedError(answer.error_message)
            return refusal
        mechanism.receive(answer.auth_bytes)
    return None


def _ask(stream: socket.socket, protocol: Untyped, request: Untyped) -> Untyped:
    """The answer to *request*; None where the connection ends first."""
    request.API_VERSION = _VERSION
    protocol.send_request(request)
    stream.sendall(protocol.send_bytes())
    while data := stream.recv(_BYTES):
        for _, answer in protocol.receive_bytes(data):
            return answer
    return None
