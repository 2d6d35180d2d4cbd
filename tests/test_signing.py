"""C2PA: what a signed translation says, that the picture stays what it is, and that a change of it shows."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from PIL import Image

import img2img
from img2img.errors import ConfigError
from img2img.image import Mark, Picture, Pictures, Signer, read_pictures, write_pictures
from img2img.image.provenance import COMPOSITE_TYPE, SOURCE_TYPE
from img2img.translate.files import Files
from tests import files
from tests.conftest import drawing, run_here
from tests.test_formats import exif_of

SIGNED = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "avif": "image/avif"}
SIGNED |= {"tif": "image/tiff", "gif": "image/gif"}
UNSIGNED = ("bmp", "jp2")


def named(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, f"a test's {name}")])


def certificate(of, subject, issuer, by, days, *extensions):
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(named(issuer), named(subject), of.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=90)).not_valid_after(now + timedelta(days=days))
    for extension, critical in extensions:
        made = made.add_extension(extension, critical)
    return made.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def usage(*, authority):
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    uses += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    allowed = {"key_cert_sign", "crl_sign"} if authority else {"digital_signature"}
    return x509.KeyUsage(**{use: use in allowed for use in uses}), True


def credentials(folder, key=None, days=30, password=None, form="PKCS8"):
    """A throw-away authority's certificate for a key: (certificates, key) as files."""
    folder.mkdir(parents=True, exist_ok=True)
    root, key = ec.generate_private_key(ec.SECP256R1()), key or ec.generate_private_key(ec.SECP256R1())
    known = x509.SubjectKeyIdentifier.from_public_key(root.public_key())
    top = (x509.BasicConstraints(ca=True, path_length=None), True), usage(authority=True), (known, False)
    own = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        usage(authority=False),
        (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known), False),
    )
    chain = certificate(key, "signer", "root", root, days, *own) + certificate(root, "root", "root", root, 99, *top)
    secret = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    stored = key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), secret)
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(stored)
    return folder / "chain.pem", folder / "key.pem"


@pytest.fixture
def signer(tmp_path):
    return credentials(tmp_path / "secret")


def words(signer):
    return "--c2pa-cert", signer[0], "--c2pa-key", signer[1]


def found(data, kind):
    """Whether a file's manifest holds (but for nobody knowing the test's authority), and what it says."""
    with c2pa.Reader(kind, io.BytesIO(data)) as reader:
        said = json.loads(reader.json())
    faults = {fault["code"] for fault in said.get("validation_status", [])} - {"signingCredential.untrusted"}
    return faults, said["manifests"][said["active_manifest"]], said["manifests"]


def actions(manifest):
    (assertion,) = (a for a in manifest["assertions"] if a["label"] == "c2pa.actions.v2")
    return assertion["data"]["actions"]


def test_every_output_that_can_be_signed_is_and_the_others_are_named(model, tmp_path, signer):
    (tmp_path / "in").mkdir()
    for suffix in (*SIGNED, *UNSIGNED):
        drawing(1)[0].save(tmp_path / "in" / f"x.{suffix}")
    said = run_here("translate", model, tmp_path / "in", tmp_path / "out", *words(signer)).stdout
    run_here("translate", model, tmp_path / "in", tmp_path / "plain")
    for suffix, kind in SIGNED.items():
        data = (tmp_path / "out" / f"x.{suffix}").read_bytes()
        faults, manifest, _ = found(data, kind)
        assert not faults, suffix
        (made,) = actions(manifest)
        assert (made["action"], made["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPE)
        assert made["softwareAgent"]["name"] == "img2img"
        assert made["parameters"]["img2img.direction"] == "line:colour"
        assert len(made["parameters"]["img2img.translator"]) == 12
        (ingredient,) = manifest["ingredients"]
        assert (ingredient["title"], ingredient["relationship"]) == (f"x.{suffix}", "inputTo")
        assert len(made["parameters"]["ingredients"]) == 1
        assert suffix == "gif" or SOURCE_TYPE.encode() in data  # the XMP says the same
        assert len(data) - (tmp_path / "plain" / f"x.{suffix}").stat().st_size < 6000  # no thumbnails
    for suffix in UNSIGNED:
        assert (tmp_path / "out" / f"x.{suffix}").read_bytes() == (tmp_path / "plain" / f"x.{suffix}").read_bytes()
    assert "note: " in said
    assert "not signed (BMP holds no C2PA manifest)" in said


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_signature_changes_nothing_of_the_picture(tmp_path, signer, suffix, depth):
    levels = np.random.default_rng(0).integers(0, 2**depth, (40, 48, 3)).astype(f"uint{depth}")
    rich = Picture(levels, levels[..., 0], "PNG", files.rgb_profile(files.DISPLAY_P3, files.SRGB_CURVE), exif_of(), "")
    same_as_unsigned(tmp_path, signer, suffix, Pictures((rich,)))


@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_nor_of_an_animation(tmp_path, signer, suffix):
    frames = (Picture(np.asarray(drawing(i)[1]), None, "PNG", None, None, "") for i in range(3))
    same_as_unsigned(tmp_path, signer, suffix, Pictures(tuple(frames), (100.0, 200.0, 300.0), 2))


def same_as_unsigned(folder, signer, suffix, pictures):
    write_pictures(folder / f"plain.{suffix}", pictures, mark=Mark("abc"))
    write_pictures(folder / f"x.{suffix}", pictures, mark=Mark("abc"), finish=Signer(*signer).signed)
    assert found((folder / f"x.{suffix}").read_bytes(), SIGNED[suffix])[0] == set()
    plain, signed = (read_pictures(folder / f"{name}.{suffix}") for name in ("plain", "x"))
    assert (signed.durations, signed.loop, len(signed.frames)) == (plain.durations, plain.loop, len(plain.frames))
    for one, other in zip(plain.frames, signed.frames, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.alpha, other.alpha)
        for kept in ("icc_profile", "exif", "xmp", "dpi"):
            assert getattr(one, kept) == getattr(other, kept), kept


def test_python_signs_as_the_command_does(model, tmp_path, signer):
    (tmp_path / "in").mkdir()
    drawing(1)[0].save(tmp_path / "in" / "x.png")
    run_here("translate", model, tmp_path / "in", tmp_path / "out", *words(signer))
    plain = Files(mark=Mark("abc"), signer=Signer(*signer))
    img2img.load(model).folder(tmp_path / "in", tmp_path / "python", files=plain)
    said = [actions(found((tmp_path / out / "x.png").read_bytes(), "image/png")[1])[0] for out in ("out", "python")]
    for action in said:
        del action["parameters"]["ingredients"]  # with the hash of an id that is new each time
    assert said[0] == said[1]


def test_large_tiffs_by_regions_say_that_they_are_not_signed(model, tmp_path, signer, monkeypatch):
    drawing(1)[0].save(tmp_path / "x.tif")
    monkeypatch.setattr("img2img.translate.files.MAX_PIXELS", 100)
    large = "--max-pixels", "100000000"
    said = run_here("translate", model, tmp_path / "x.tif", tmp_path / "y.tif", *large, *words(signer)).stdout
    assert "read and written by regions: no EXIF, no XMP, not signed" in said


def test_pages_of_a_tiff_are_kept_and_not_signed(model, tmp_path, signer):
    pages = [drawing(i)[0] for i in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    said = run_here("translate", model, tmp_path / "x.tif", tmp_path / "y.tif", *words(signer)).stdout
    assert "not signed (a TIFF of several pages)" in said
    assert len(read_pictures(tmp_path / "y.tif").frames) == 3


def test_what_keeps_pixels_of_the_source_is_an_edit_of_it(model, tmp_path, signer):
    drawing(1)[0].save(tmp_path / "x.png")
    run_here("translate", model, tmp_path / "x.png", tmp_path / "y.png", "--strength", "0.5", *words(signer))
    faults, manifest, _ = found((tmp_path / "y.png").read_bytes(), "image/png")
    assert not faults
    opened, edited = actions(manifest)
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert len(opened["parameters"]["ingredients"]) == 1
    assert edited["digitalSourceType"] == COMPOSITE_TYPE
    assert manifest["ingredients"][0]["relationship"] == "parentOf"
    assert COMPOSITE_TYPE.encode() in read_pictures(tmp_path / "y.png").frames[0].xmp


def test_a_manifest_of_the_source_travels_along_also_through_a_pipe(model, tmp_path, signer, monkeypatch):
    drawing(1)[0].save(tmp_path / "x.png")
    run_here("translate", model, tmp_path / "x.png", tmp_path / "y.png", "--no-mark", *words(signer))
    piped = io.BytesIO((tmp_path / "y.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(piped))
    run_here("translate", model, "-", tmp_path / "z.jpg", "--to", "line", *words(signer))
    faults, manifest, store = found((tmp_path / "z.jpg").read_bytes(), "image/jpeg")
    assert not faults
    assert manifest["ingredients"][0]["title"] == "standard input"
    assert manifest["ingredients"][0]["active_manifest"] in store
    assert [actions(m)[0]["parameters"]["img2img.direction"] for m in store.values()] in (
        ["line:colour", "colour:line"],
        ["colour:line", "line:colour"],
    )


def test_a_source_that_the_library_cannot_parse_is_named_all_the_same(tmp_path, signer):
    (tmp_path / "odd.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    picture = io.BytesIO()
    drawing(1)[1].save(picture, "PNG")
    data, note = Signer(*signer).signed(picture.getvalue(), "PNG", tmp_path / "odd.png")
    faults, manifest, _ = found(data, "image/png")
    assert not faults
    assert not note
    assert manifest["ingredients"][0]["title"] == "odd.png"


@pytest.mark.parametrize("suffix", SIGNED)
def test_a_changed_byte_shows(tmp_path, signer, suffix):
    pictures = Pictures((Picture(np.asarray(drawing(1)[1]), None, "PNG", None, None, ""),))
    write_pictures(tmp_path / f"plain.{suffix}", pictures)
    write_pictures(tmp_path / f"x.{suffix}", pictures, finish=Signer(*signer).signed)
    pixels = (tmp_path / f"plain.{suffix}").read_bytes()
    piece = max((pixels[i : i + 24] for i in range(0, len(pixels) - 24, 8)), key=lambda part: len(set(part)))
    data = bytearray((tmp_path / f"x.{suffix}").read_bytes())
    data[data.rindex(piece) + 12] ^= 1
    faults, _, _ = found(bytes(data), SIGNED[suffix])
    assert faults & {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"}


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "TraditionalOpenSSL"),
        (ec.generate_private_key(ec.SECP521R1()), "PKCS8"),
        (ed25519.Ed25519PrivateKey.generate(), "PKCS8"),
        (rsa.generate_private_key(65537, 2048), "TraditionalOpenSSL"),
    ],
)
def test_every_kind_of_key_that_c2pa_allows(tmp_path, key, form):
    Signer(*credentials(tmp_path, key, form=form)).check()


def refused(tmp_path):
    chain, key = credentials(tmp_path / "good")
    other = credentials(tmp_path / "other")[1]
    alone = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "self.pem").write_bytes(certificate(alone, "me", "me", alone, 9))
    (tmp_path / "self.key").write_bytes(
        alone.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    yield "not today; renew it", credentials(tmp_path / "old", days=-2)
    yield "does not fit", (chain, other)
    yield "without a password", credentials(tmp_path / "locked", password=b"open sesame")
    yield "expected certificates in PEM", (key, key)
    yield "expected a private key in PEM", (chain, chain)
    yield "cannot be read (No such file or directory)", (chain, tmp_path / "nowhere.pem")
    yield "expected a key of kind EC", credentials(tmp_path / "odd", ec.generate_private_key(ec.SECP256K1()))
    yield "cannot be signed (Signature: the certificate is invalid)", (tmp_path / "self.pem", tmp_path / "self.key")


def test_what_cannot_sign_is_one_line_before_work_starts(model, tmp_path):
    drawing(1)[0].save(tmp_path / "x.png")
    for message, signer in refused(tmp_path):
        with pytest.raises(ConfigError) as error:
            Signer(*signer).check()
        assert message in str(error.value), message
        assert "\n" not in str(error.value)
    done = run_here("translate", model, tmp_path / "x.png", tmp_path / "out", *words(signer), code=1)
    assert done.stderr.startswith("error: ")
    done = run_here("translate", model, tmp_path / "x.png", tmp_path / "out", *words(signer)[:2], code=1)
    assert "--c2pa-key is missing" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_same_command_skips_what_is_signed_and_another_certificate_is_another_setting(model, tmp_path, signer):
    (tmp_path / "in").mkdir()
    drawing(1)[0].save(tmp_path / "in" / "x.png")
    command = ("translate", model, tmp_path / "in", tmp_path / "out")
    run_here(*command, *words(signer))
    before = (tmp_path / "out" / "x.png").read_bytes()
    assert "1 skipped" in run_here(*command, *words(signer)).stdout
    assert (tmp_path / "out" / "x.png").read_bytes() == before
    other = words(credentials(tmp_path / "other"))
    assert "made with other settings (signed" in run_here(*command, *other, code=1).stderr
    assert "made with other settings (signed" in run_here(*command, code=1).stderr


def test_the_paths_can_come_from_the_environment(model, tmp_path, signer, monkeypatch):
    drawing(1)[0].save(tmp_path / "x.png")
    for name, path in zip(("IMG2IMG_C2PA_CERT", "IMG2IMG_C2PA_KEY"), signer, strict=True):
        monkeypatch.setenv(name, str(path))
    run_here("translate", model, tmp_path / "x.png", tmp_path / "y.png")
    assert not found((tmp_path / "y.png").read_bytes(), "image/png")[0]


def test_without_the_package_one_line_names_it(model, tmp_path, signer, monkeypatch):
    drawing(1)[0].save(tmp_path / "x.png")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    done = run_here("translate", model, tmp_path / "x.png", tmp_path / "y.png", *words(signer), code=1)
    assert done.stderr == "error: signing with C2PA needs c2pa-python: pip install 'img2img-toolkit[c2pa]'\n"


def test_an_output_of_nothing_needs_no_source(tmp_path, signer):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    mark = Mark("abc", direction="a:b", composite=True)
    faults, manifest, _ = found(Signer(*signer, mark).signed(picture.getvalue(), "PNG")[0], "image/png")
    assert not faults
    assert [action["action"] for action in actions(manifest)] == ["c2pa.created"]
