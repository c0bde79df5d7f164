"""Each archive's addresses, as its documentation and other people's programs have them, and its answers."""

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke.download.archive import SERVERS, check_base_url
from goodricke.download.gaia import Gaia
from goodricke.download.http import Client
from goodricke.download.kepler import LONG, SHORT, Kepler
from goodricke.download.tess import Tess, tglc_path
from goodricke.download.ztf import Ztf
from goodricke.io import read
from tests.download.conftest import QUICK
from tests.download.server import NONE, Answer, kepler_file, kepler_path

EMPTY = pa.table({"_": ["x"]}).drop_columns(["_"])


def urls(archive, target):
    (ask,), missing = archive.file_requests(Client(), [target], EMPTY)
    assert missing == []
    return [[place.url for place in places] for places in ask.files]


# ---- Kepler ---------------------------------------------------------------------------------------------------------


def test_kepler_addresses():
    base = "https://archive.stsci.edu/missions/kepler/lightcurves/"
    assert urls(Kepler(9), "757076") == [[f"{base}0007/000757076/kplr000757076-2011177032512_llc.fits"]]
    # pyke's documentation, and an astronomer's page on KIC 9603833
    assert urls(Kepler(8), "8462852") == [[f"{base}0084/008462852/kplr008462852-2011073133259_llc.fits"]]
    assert urls(Kepler(3), "9603833") == [[f"{base}0096/009603833/kplr009603833-2009350155506_llc.fits"]]
    # exoplanet.org's HAT-P-11, short cadence: a month of quarter 9
    months = urls(Kepler(9, "short"), "10748390")
    assert [f"{base}0107/010748390/kplr010748390-2011145075126_slc.fits"] in months
    assert len(months) == 3
    assert (len(LONG), len(SHORT)) == (18, 18)


def test_kepler_quarter_4_of_the_broken_module(server, make, real_kepler):
    server[kepler_path(11904151, "2010009091648")] = kepler_file(real_kepler, 11904151, 4)
    download = make(Kepler(4, base_url=server.url), "11904151\n")
    assert download.run()["rows"] == 1
    table = pq.read_table(download.out / "kepler-00000.parquet")
    assert table["quarter"].to_pylist() == [4]
    assert "2010009091648" in table["source"][0].as_py()


def test_kepler_short_cadence_has_a_light_curve_per_month(server, make, real_kepler):
    for stamp in SHORT[5][:2]:  # observed in two of three months
        server[kepler_path(10002792, stamp, "slc")] = kepler_file(real_kepler, 10002792, 5)
    download = make(Kepler(5, "short", base_url=server.url), "10002792,A\n757076,B\n")
    manifest = download.run()
    assert (manifest["rows"], manifest["missing"]) == (2, {"absent": 1})
    assert pq.read_table(download.out / "kepler-00000.parquet")["label"].to_pylist() == ["A", "A"]


# ---- TESS -----------------------------------------------------------------------------------------------------------


def test_qlp_addresses():
    name = "hlsp_qlp_tess_ffi_s0011-0000000277554109_tess_v01_llc.fits"  # lightkurve's tests
    assert urls(Tess("qlp", 11), "277554109") == [
        [f"https://archive.stsci.edu/hlsps/qlp/s0011/0000/0002/7755/4109/{name}"]
    ]


def test_tglc_addresses():
    # lightkurve's tests
    assert tglc_path(1, 4624742688944261376, 4, 2) == (
        "s0001/cam4-ccd2/0046/2474/2688/9442/"
        "hlsp_tglc_tess_ffi_gaiaid-4624742688944261376-s0001-cam4-ccd2_tess_v1_llc.fits"
    )


TGLC = "hlsp_tglc_tess_ffi_gaiaid-5707485527450614656-s0007-cam2-ccd3_tess_v1_llc.fits"


@pytest.fixture
def tglc(shared):
    path = shared / "data" / "formats" / "tglc" / TGLC
    return path.read_bytes(), read(path).ids[0].removeprefix("TIC ")


def test_tglc_by_search(server, make, tglc):
    body, tic = tglc
    path = tglc_path(7, 5707485527450614656, 2, 3)
    asked = []

    def search(_, form):
        request = json.loads(form["request"])
        asked.append(request)
        if len(asked) == 1:
            return Answer(json.dumps({"status": "EXECUTING", "data": []}).encode())
        rows = [{"target_name": tic, "dataURL": f"mast:HLSP/tglc/{path}"}, {"target_name": "5", "dataURL": None}]
        return Answer(json.dumps({"status": "COMPLETE", "data": rows}).encode())

    server["/api/v0/invoke"] = search
    server[f"/api/v0.1/Download/file?uri=mast:HLSP/tglc/{path}"] = body  # and no plain file
    download = make(Tess("tglc", 7, base_url=server.url), f"{tic},A\n5,B\n")
    manifest = download.run()
    assert (manifest["rows"], manifest["missing"]) == (1, {"absent": 1})
    assert asked[0] == asked[1]
    filters = {f["paramName"]: f["values"] for f in asked[0]["params"]["filters"]}
    assert asked[0]["service"] == "Mast.Caom.Filtered"
    assert filters == {"provenance_name": ["TGLC"], "sequence_number": [7], "target_name": sorted(["5", tic], key=len)}
    assert server.asked[f"/hlsps/tglc/{path}"] == 1
    assert "columns gaia (DR3), camera and ccd" in (download.out / "_missing.csv").read_text()


def test_tglc_by_the_columns_of_the_list(server, make, tglc):
    body, tic = tglc
    server[f"/hlsps/tglc/{tglc_path(7, 5707485527450614656, 2, 3)}"] = body
    listed = f"tic,gaia,camera,ccd\n{tic},Gaia DR3 5707485527450614656,2,3\n"
    download = make(Tess("tglc", 7, base_url=server.url), listed)
    assert download.run()["rows"] == 1
    assert sum(server.asked.values()) == 1


def test_errors_of_the_search(server, make):
    server["/api/v0/invoke"] = json.dumps({"status": "ERROR", "msg": "no such service"}).encode()
    with pytest.raises(RuntimeError, match="says ERROR: no such service"):
        make(Tess("tglc", 7, base_url=server.url), "5\n").run()
    server["/api/v0/invoke"] = NONE
    with pytest.raises(RuntimeError, match="no search of MAST"):
        make(Tess("tglc", 7, base_url=server.url), "5\n").run()


SPOC = "tess2018206045859-s0001-0000000358108509-0120-s_lc.fits"
SCRIPT = "/missions/tess/download_scripts/sector/tesscurl_sector_1_lc.sh"


def test_spoc_by_the_script_of_the_sector(server, make, shared):
    line = "curl -C - -L -o {0} https://mast.stsci.edu/api/v0.1/Download/file/?uri=mast:TESS/product/{0}\n"
    other = SPOC.replace("358108509", "358108510")
    server[SCRIPT] = ("#!/bin/sh\n" + line.format(SPOC) + line.format(other)).encode()
    real = (shared / "data" / "formats" / "kepler_tess" / SPOC).read_bytes()
    server[f"/api/v0.1/Download/file?uri=mast:TESS/product/{SPOC}"] = real
    download = make(Tess("spoc", 1, base_url=server.url), "358108509\n358108510\n7\n", per_shard=1)
    manifest = download.run()
    assert (manifest["rows"], manifest["missing"]) == (1, {"absent": 2})
    assert server.asked[SCRIPT] == 1  # for all shards
    text = (download.out / "_missing.csv").read_text()
    assert "7,absent,not in the list of sector 1's 2-minute light curves" in text
    assert pq.read_table(download.out / "tess-00001.parquet")["sector"].to_pylist() == [1]


def test_unknown_sectors_and_products(server, make):
    with pytest.raises(ValueError, match=r"tesscurl_sector_1_lc\.sh: MAST has no list of sector 1"):
        make(Tess("spoc", 1, base_url=server.url), "7\n").run()
    with pytest.raises(ValueError, match="one of qlp, tglc, spoc"):
        Tess("cdips", 1)


# ---- ZTF ------------------------------------------------------------------------------------------------------------


def lightcurve(shared, oid):
    """Return an answer of ALeRCE made of its own table of detections."""
    frame = pd.read_parquet(shared / "data" / "formats" / "alerce" / "detections_sample.parquet").reset_index()
    found = json.loads(frame[frame["oid"] == oid].to_json(orient="records"))
    return json.dumps(
        {"detections": found, "non_detections": [{"mjd": 58000.0, "fid": 1, "diffmaglim": 20.0}]}
    ).encode()


def test_ztf_addresses():
    (places,) = urls(Ztf(), "ZTF18abbuksn")
    assert places == ["https://api.alerce.online/ztf/v1/objects/ZTF18abbuksn/lightcurve"]


def test_ztf_light_curves_are_those_of_the_table(server, make, shared, tmp_path):
    table = read(shared / "data" / "formats" / "alerce" / "detections_sample.parquet")
    names = sorted(table.ids)[:3]
    for name in names:
        server[f"/objects/{name}/lightcurve"] = lightcurve(shared, name)
    server["/objects/ZTF20aaaaaaa/lightcurve"] = b'{"detections": [], "non_detections": []}'
    download = make(Ztf(base_url=server.url), "\n".join([*names, "ZTF20aaaaaaa", "ZTF20aaaaaab"]), keep=tmp_path / "k")
    manifest = download.run()
    assert (manifest["rows"], manifest["missing"]) == (3, {"absent": 2})
    curves = read(download.out)
    assert (curves.unit, curves.time_scale) == ("mag", "MJD")
    for name in names:
        ours, theirs = curves[curves.ids.index(name)], table[table.ids.index(name)]
        np.testing.assert_allclose(ours.time, theirs.time)
        np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-6)
        np.testing.assert_allclose(ours.error, theirs.error, rtol=1e-6)
    kept = json.loads((tmp_path / "k" / f"{names[0]}.json").read_text())
    assert len(kept["non_detections"]) == 1


def test_invalid_responses_of_ztf(server, make):
    server["/objects/ZTF20aaaaaaa/lightcurve"] = b'{"errors": {"code": "500"}}'
    server["/objects/ZTF20aaaaaab/lightcurve"] = b'{"detections": [{"mjd": 1}]}'
    download = make(Ztf(base_url=server.url), "ZTF20aaaaaaa\nZTF20aaaaaab\n")
    assert download.run()["missing"] == {"failed": 2}
    assert "sent no light curve" in (download.out / "_missing.csv").read_text()


# ---- Gaia -----------------------------------------------------------------------------------------------------------

STARS = (2328619740476096384, 2328619740476096385)


def raw(stars):
    """Return epoch photometry in the structure RAW, arrays as text in CSV."""
    head = "solution_id,source_id,transit_id,n_transits"
    for band, time in (("g_transit", "g_transit_time"), ("bp", "bp_obs_time"), ("rp", "rp_obs_time")):
        head += f",{time},{band}_mag,{band}_flux,{band}_flux_error,{band}_flux_over_error"
    band = '"[1808.5, 1700.25]","[13.5, {0}]","[1e4, 2e4]","[10.0, 20.0]","[1000.0, 1000.0]"'
    rows = [f'1,{s},"[1, 2]",2,{band.format(13.7)},{band.format(14.0)},{band.format("null")}' for s in stars]
    return "\n".join([head, *rows]) + "\n"


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, text in files.items():
            packed.writestr(f"{name}.csv", text)
    return out.getvalue()


def test_gaia_addresses():
    (places,) = urls(Gaia(), str(STARS[0]))
    server, _, query = places[0].partition("?")
    assert server == "https://gea.esac.esa.int/data-server/data"
    assert f"RETRIEVAL_TYPE=EPOCH_PHOTOMETRY&ID={STARS[0]}&RELEASE=Gaia+DR3&DATA_STRUCTURE=RAW&FORMAT=csv" in query


@pytest.mark.parametrize("form", ["zip", "plain"])
def test_gaia_in_batches(server, make, form):
    asked = []

    def answer(path, _):
        ids = path.partition("ID=")[2].partition("&")[0].split(",")
        asked.append(len(ids))
        known = [int(i) for i in ids if int(i) in STARS]
        if not known:
            return NONE
        return Answer(zipped(EPOCH_PHOTOMETRY_RAW=raw(known)) if form == "zip" else raw(known).encode())

    server["*"] = answer
    listed = "source_id,label\n" + "".join(f"{s},RR\n" for s in (*STARS, 17, 18, 19))
    download = make(Gaia(per_request=2, base_url=server.url), listed)
    manifest = download.run()
    assert sorted(asked) == [1, 2, 2]
    assert (manifest["rows"], manifest["missing"]) == (2, {"absent": 3})
    curves = read(download.out)
    assert curves.ids == [str(s) for s in STARS]
    assert (curves.unit, curves.bands, curves.time_scale) == ("mag", ("G", "BP", "RP"), "BJD")
    assert curves.n_obs.tolist() == [5, 5]  # an RP magnitude is null
    assert curves.column("label").tolist() == ["RR", "RR"]
    sources = pq.read_table(download.out / "gaia-00000.parquet")["source"].to_pylist()
    assert [f"&ID={star}&" in source for star, source in zip(STARS, sources, strict=True)] == [True, True]
    assert "&ID=17&" in (download.out / "_missing.csv").read_text()  # an address to open in a browser


@pytest.mark.parametrize("body", [b"", zipped(), zipped(EPOCH=raw([]))], ids=["nothing", "no file", "no row"])
def test_gaia_without_epoch_photometry(server, make, body):
    server["*"] = body
    assert make(Gaia(base_url=server.url), "17\n18\n").run()["missing"] == {"absent": 2}


@pytest.mark.parametrize(
    "body", [b"<VOTABLE><INFO name='QUERY_STATUS' value='ERROR'/>", zipped(E=raw(STARS))[:-30]], ids=["error", "cut"]
)
def test_gaia_answers_that_are_none(server, make, body):
    server["*"] = body
    assert make(Gaia(base_url=server.url), "17\n").run()["missing"] == {"failed": 1}


# ---- servers --------------------------------------------------------------------------------------------------------


def test_other_servers_by_the_environment(monkeypatch):
    monkeypatch.setenv("GOODRICKE_ARCHIVE_URL", "http://mirror.example.org/stsci/")
    assert Kepler().server("archive") == "http://mirror.example.org/stsci"
    assert Kepler().server("mast") == SERVERS["mast"]
    assert Kepler(base_url="https://other.org").server("archive") == "https://other.org"
    assert Client(QUICK).requests == 0


@pytest.mark.parametrize("url", ["archive.stsci.edu", "file:///etc", "https://a:b@c.org", "https://c.org/?token=x"])
def test_no_base_url(url):
    with pytest.raises(ValueError, match="base URL"):
        check_base_url(url)
