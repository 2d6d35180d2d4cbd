"""Signing pictures with C2PA ("Content Credentials"): who made them and of what, so that any change of a byte shows.

A translator computes every pixel, so a translation is ``c2pa.created`` with the source as ``inputTo``: input to a
computational process that led to it. Where pixels of the source remain it is ``c2pa.opened`` with the source as
``parentOf``, then ``c2pa.edited``. The digital source type is the one that :mod:`img2img.image.provenance` writes in
XMP. A manifest that the source itself carries travels along. Nothing is fetched from the network, and no authority is
asked for the time.

Source: C2PA Technical Specification 2.x (spec.c2pa.org), sections on actions, ingredients and X.509 certificates.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

from img2img.errors import ConfigError, DataError
from img2img.image.provenance import Mark

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},  # 100 kB and more a file, and no provenance
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


class _Credentials(NamedTuple):
    algorithm: bytes
    certificates: bytes
    key: bytes


@dataclass(frozen=True)
class Signer:
    """Who signs, and what the manifest says.

    Args:
        certificates: PEM file: the certificate of the signer first, then those that vouch for it.
        key: PEM file with the private key of the first: EC (P-256, P-384, P-521), Ed25519 or RSA, without a password.
        mark: who made the pictures.
    """

    certificates: Path
    key: Path
    mark: Mark = field(default_factory=lambda: Mark("unsaved"))

    def check(self) -> None:
        """Sign a pixel, so that what is wrong with certificate or key is said before work starts.

        Raises:
            ConfigError: naming the file and what is wrong with it.
            ModuleNotFoundError: naming what to install.
        """
        pixel = io.BytesIO()
        Image.new("L", (1, 1)).save(pixel, "PNG")
        try:
            self.signed(pixel.getvalue(), "PNG")
        except DataError as error:
            raise ConfigError(f"{self.certificates}: expected a certificate that C2PA takes; {error}") from error

    def settings(self) -> dict[str, Any]:
        """Return what of this decides the outputs, as plain data; the bytes of a signature are others each time."""
        return {"signed": hashlib.sha256(_credentials(self.certificates, self.key).certificates).hexdigest()[:16]}

    def signed(
        self, data: bytes, file_format: str, source: Path | BinaryIO | None = None, num_frames: int = 1
    ) -> tuple[bytes, str]:
        """Put a signed manifest into a file.

        Args:
            data: of the file.
            file_format: Pillow's name of it.
            source: what the picture was made of.
            num_frames: frames or pages in it.

        Returns:
            The file with the manifest and ""; or as it was, and a note.

        Raises:
            DataError: if the library refuses.
            ConfigError: see :meth:`check`.
        """
        c2pa = _library()
        kind = _kind(file_format)
        if kind not in c2pa.Builder.get_supported_mime_types():
            return data, f"not signed ({file_format} holds no C2PA manifest)"
        if file_format == "TIFF" and num_frames > 1:  # c2pa-rs 0.91 leaves a file whose pages cannot be read
            return data, "not signed (a TIFF of several pages)"
        info = c2pa.C2paSignerInfo(*_credentials(self.certificates, self.key), None)
        made = io.BytesIO()
        try:
            context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))
            manifest = json.dumps(self._manifest(has_source=source is not None))
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest, context) as builder:
                if source is not None:
                    self._add_source(c2pa, builder, source)
                builder.sign(signer, kind, io.BytesIO(data), made)
        except c2pa.C2paError as error:
            raise DataError(f"cannot be signed ({' '.join(str(error).split())})") from error
        return made.getvalue(), ""

    def _manifest(self, *, has_source: bool) -> dict[str, Any]:
        agent = {"name": "img2img", "version": self.mark.version}
        of_source = {"ingredientIds": ["source"]} if has_source else {}
        made: dict[str, Any] = {
            "action": "c2pa.created",
            "digitalSourceType": self.mark.source_type,
            "softwareAgent": agent,
            "parameters": {"img2img.translator": self.mark.translator, "img2img.direction": self.mark.direction},
        }
        actions = [made]
        if self.mark.composite and has_source:
            made["action"] = "c2pa.edited"
            actions.insert(0, {"action": "c2pa.opened", "parameters": of_source})
        else:
            made["parameters"] |= of_source
        return {
            "claim_generator_info": [agent],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
        }

    def _add_source(self, c2pa: ModuleType, builder: Any, source: Path | BinaryIO) -> None:
        """Name the source, with the manifest that it may carry."""
        title, data = (source.name, source.read_bytes()) if isinstance(source, Path) else ("", _whole(source))
        relation = "parentOf" if self.mark.composite else "inputTo"
        ingredient = json.dumps({"title": title or "standard input", "relationship": relation, "label": "source"})
        try:
            with Image.open(io.BytesIO(data)) as image:
                kind = _kind(image.format or "")
        except OSError:  # a NPY file, or a TIFF beyond Pillow
            kind = _kind("")
        try:
            builder.add_ingredient(ingredient, kind, io.BytesIO(data))
        except c2pa.C2paError:  # decoders are more lenient than the library: then named, and not looked into
            builder.add_ingredient(ingredient, _kind(""), io.BytesIO())


def _whole(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _kind(file_format: str) -> str:
    return Image.MIME.get(file_format, "application/octet-stream")


def _library() -> ModuleType:
    try:
        return importlib.import_module("c2pa")  # an extra
    except ModuleNotFoundError as error:
        message = "signing with C2PA needs c2pa-python: pip install 'img2img-toolkit[c2pa]'"
        raise ModuleNotFoundError(message, name="c2pa") from error


@lru_cache(maxsize=4)
def _credentials(certificates: Path, key: Path) -> _Credentials:
    """Read both files, once a process: the key's algorithm, the certificates, the key as PKCS 8.

    Raises:
        ConfigError: if a file cannot be read, they do not belong together, or the certificate is not valid now.
    """
    _library()  # brings cryptography
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    chain, secret = _read(certificates), _read(key)
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise ConfigError(f"{certificates}: expected certificates in PEM, the signer's first") from error
    try:
        private = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError) as error:  # TypeError: a password is missing
        raise ConfigError(f"{key}: expected a private key in PEM, without a password") from error
    if first.public_key() != private.public_key():
        raise ConfigError(f"{key}: the key does not fit the first certificate of {certificates}")
    if not first.not_valid_before_utc <= datetime.now(UTC) <= first.not_valid_after_utc:
        begin, end = (f"{day:%Y-%m-%d}" for day in (first.not_valid_before_utc, first.not_valid_after_utc))
        raise ConfigError(f"{certificates}: the certificate is valid from {begin} to {end}, not today; renew it")
    standard = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _Credentials(_algorithm(private, key).encode(), chain, standard)


def _algorithm(private: Any, key: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return _CURVES[private.curve.name]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    raise ConfigError(f"{key}: expected a key of kind EC (P-256, P-384, P-521), Ed25519 or RSA")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
