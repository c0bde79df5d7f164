"""What the columns of a table of predictions mean: unit, UCD and description, the same in every format.

Units are written plainly (``1/d``, ``mas/yr``), for `astropy.units` to spell as each format wants. Entropies in nat,
probabilities and fractions have no unit: they are pure numbers. UCDs are of the controlled vocabulary UCD1+ 1.5.

`Rows` is a table that may be larger than the memory, with its metadata, and with columns as every format can hold them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

log = logging.getLogger("goodricke")


class Meaning(NamedTuple):
    """What a column holds, in a few words; its unit and UCD, empty where it has none."""

    description: str = ""
    unit: str = ""
    ucd: str = ""


NUMBER = "meta.number"
PROBABILITY = "stat.probability;src.class"  # meta.code.class may stand first only
OBSERVATIONS = "meta.number;obs"

COLUMNS = {
    "object_id": Meaning("Identifier of the object", "", "meta.id;meta.main"),
    "status": Meaning("OK, or why the object could not be classified", "", "meta.code.status"),
    "class": Meaning("Most probable class", "", "meta.code.class"),
    "confident_class": Meaning("Class, where its probability reaches the cut of that class", "", "meta.code.class"),
    "p_max": Meaning("Probability of the most probable class", "", "stat.probability;stat.max"),
    "entropy": Meaning("Entropy of the mean probabilities [nat]", "", "stat.param;src.class"),
    "mutual_information": Meaning(
        "Part of the entropy due to the model's own uncertainty, over Monte-Carlo passes [nat]",
        "",
        "stat.param;src.class",
    ),
    "aleatoric_entropy": Meaning(
        "Part of the entropy that lies in the data: mean entropy of the Monte-Carlo passes [nat]",
        "",
        "stat.param;src.class",
    ),
    "class_probability": Meaning("Probability of the class", "", PROBABILITY),
    "leaf": Meaning("Most probable leaf of the taxonomy", "", "meta.code.class"),
    "prediction_set_node": Meaning(
        "Node of the taxonomy that has just the classes of the prediction set", "", "meta.code.class"
    ),
    "prediction_set": Meaning("Classes, the true one among them as often as promised", "", "meta.code.class"),
    "novelty": Meaning("Fraction of validation objects that are less unlike the training set", "", "stat.probability"),
    "embedding": Meaning("The light curve in the space where the network tells classes apart", "", "stat.param"),
    "fold_period": Meaning(
        "Period found in the light curve, on which it was folded; of most binaries half the orbital one",
        "d",
        "time.period;src.var",
    ),
    "period_error": Meaning("Standard error of the period, if it is the right one", "d", "stat.error;time.period"),
    "period_probability": Meaning("Probability that the period is the right one", "", "stat.probability;time.period"),
    "period_alternatives": Meaning(
        "Other periods, the most probable first, each in the convention of its class", "d", "time.period;src.var"
    ),
    "period_alternative_probabilities": Meaning(
        "Probabilities of the other periods", "", "stat.probability;time.period"
    ),
    "false_alarm_probability": Meaning(
        "Probability of a peak as high as the period's in noise alone", "", "stat.probability;stat.Fourier"
    ),
    "dominant_frequency": Meaning(
        "Frequency of the highest peak of the amplitude spectrum of the detrended light curve",
        "1/d",
        "em.freq;stat.max;src.var",
    ),
    "dominant_amplitude": Meaning(
        "Semi-amplitude of the sine at the dominant frequency, in units of the median flux, corrected for detrending",
        "",
        "src.var.amplitude",
    ),
    "period_snr": Meaning(
        "Amplitude of the highest peak over the mean amplitude around it, or depth of the eclipses over its error",
        "",
        "stat.snr;src.var",
    ),
    "eclipse_depth": Meaning("Depth of the deeper eclipse, in units of the median flux", "", "src.var.amplitude"),
    "eclipse_duration": Meaning("Duration of the eclipses", "d", "time.duration;src.var"),
    "period_note": Meaning("What to know of the period, empty if nothing", "", "meta.note"),
    "n_obs": Meaning("Observations used, after quality cuts and cleaning", "", OBSERVATIONS),
    "n_points": Meaning(
        "Points given to the network: observations averaged to the model's cadence, or bins of phase", "", OBSERVATIONS
    ),
    "n_read": Meaning("Observations in the file", "", OBSERVATIONS),
    "n_flagged": Meaning("Observations left out by the quality cut", "", OBSERVATIONS),
    "n_used": Meaning("Observations with a time and a finite brightness that pass the quality cut", "", OBSERVATIONS),
    "model": Meaning("Identifier of the model", "", "meta.id;meta.modelled"),
    "model_hash": Meaning("SHA-256 of the model's weights and configuration, first 12 digits", "", "meta.checksum"),
    "n_light_curves": Meaning("Light curves of the star", "", NUMBER),
    "n_classified": Meaning("Light curves of the star that were classified", "", NUMBER),
    "agreement": Meaning("Fraction of the classified light curves with the star's class", "", "stat.value"),
    "source": Meaning("File that the light curve was read from", "", "meta.id;meta.file"),
    "mission": Meaning("Mission or survey", "", "meta.id;instr.obsty"),
    "product": Meaning("Data product that the light curve is of", "", "meta.id;meta.dataset"),
    "sector": Meaning("Sector of TESS", "", "meta.id;obs.field"),
    "quarter": Meaning("Quarter of Kepler", "", "meta.id;obs.field"),
    "campaign": Meaning("Campaign of K2", "", "meta.id;obs.field"),
    "camera": Meaning("Number of the camera", "", "meta.id;instr.det"),
    "ccd": Meaning("Number of the CCD", "", "meta.id;instr.det"),
    "ra": Meaning("Right ascension", "deg", "pos.eq.ra;meta.main"),
    "dec": Meaning("Declination", "deg", "pos.eq.dec;meta.main"),
    "f1": Meaning("Dominant frequency", "1/d", "src.var;stat.Fourier"),
    "A1": Meaning("Amplitude at the dominant frequency, in the unit of the brightness", "", "src.var.amplitude"),
    "period": Meaning("Period", "d", "time.period;src.var"),
    "label": Meaning("Class by the table of labels", "", "meta.code.class"),
    "_healpix_29": Meaning("HEALPix pixel of order 29, nested", "", "pos.healpix"),
}

# Gaia DR3's gaia_source and the TESS Input Catalog, as their tables name and describe them.
SURVEY_COLUMNS = {
    "source_id": Meaning("Gaia source identifier", "", "meta.id"),
    "l": Meaning("Galactic longitude", "deg", "pos.galactic.lon"),
    "b": Meaning("Galactic latitude", "deg", "pos.galactic.lat"),
    "parallax": Meaning("Parallax", "mas", "pos.parallax.trig"),
    "parallax_error": Meaning("Standard error of the parallax", "mas", "stat.error;pos.parallax.trig"),
    "pmra": Meaning("Proper motion in right ascension, times cos(dec)", "mas/yr", "pos.pm;pos.eq.ra"),
    "pmdec": Meaning("Proper motion in declination", "mas/yr", "pos.pm;pos.eq.dec"),
    "phot_g_mean_mag": Meaning("Mean magnitude in G", "mag", "phot.mag;em.opt"),
    "phot_bp_mean_mag": Meaning("Mean magnitude in BP", "mag", "phot.mag;em.opt.B"),
    "phot_rp_mean_mag": Meaning("Mean magnitude in RP", "mag", "phot.mag;em.opt.R"),
    "bp_rp": Meaning("Colour BP - RP", "mag", "phot.color;em.opt.B;em.opt.R"),
    "ruwe": Meaning("Renormalised unit weight error of the astrometry", "", "stat.error"),
    "distance_gspphot": Meaning("Distance from BP/RP spectra", "pc", "pos.distance"),
    "teff_gspphot": Meaning("Effective temperature from BP/RP spectra", "K", "phys.temperature.effective"),
    "logg_gspphot": Meaning("Surface gravity from BP/RP spectra, lg(g / cm s-2)", "", "phys.gravity"),
    "mh_gspphot": Meaning("Metallicity from BP/RP spectra, relative to the Sun [dex]", "", "phys.abund.Z"),
    "ag_gspphot": Meaning("Extinction in G from BP/RP spectra", "mag", "phys.absorption;em.opt"),
    "tic_id": Meaning("TESS Input Catalog identifier", "", "meta.id"),
    "kic_id": Meaning("Kepler Input Catalog identifier", "", "meta.id"),
    "Tmag": Meaning("TESS magnitude", "mag", "phot.mag;em.opt"),
    "Teff": Meaning("Effective temperature", "K", "phys.temperature.effective"),
    "logg": Meaning("Surface gravity, lg(g / cm s-2)", "", "phys.gravity"),
}

PATTERNS = (
    (r"p_(.+)", Meaning("Probability of class {}", "", PROBABILITY)),
    (r"node_(.+)", Meaning("Probability of node {}", "", PROBABILITY)),
    (r"std_(.+)", Meaning("Standard deviation of p_{} over Monte-Carlo passes", "", "stat.stdev;src.class")),
    (r"pred_(.+)", Meaning("Estimate of {}, in the unit of the model's training set", "", "stat.value;meta.modelled")),
)


def describe(column: str | pa.Field) -> Meaning:
    """Return what a column holds.

    Parameters
    ----------
    column : str or pyarrow.Field
        A field whose metadata tells description, unit or ucd overrides the table of known columns.
    """
    if isinstance(column, str):
        return _meaning_of_name(column)
    stated = {k.decode(): v.decode() for k, v in (column.metadata or {}).items()}
    return _meaning_of_name(column.name)._replace(**{k: stated[k] for k in Meaning._fields if stated.get(k)})


def _meaning_of_name(name: str) -> Meaning:
    known = COLUMNS.get(name) or SURVEY_COLUMNS.get(name)
    if known:
        return known
    for pattern, meaning in PATTERNS:
        match = re.fullmatch(pattern, name)
        if match:
            return meaning._replace(description=meaning.description.format(match[1]))
    return Meaning()


def spell_unit(unit: str, standard: str) -> str:
    """Return a unit as ``"fits"`` or ``"vounit"`` spells it; as it is if it is no unit to either."""
    from astropy.units import Unit

    try:
        return str(Unit(unit).to_string(standard)) if unit else ""
    except ValueError:
        return unit


def astropy_table(schema: pa.Schema, about: Mapping[str, str]) -> Any:
    """Return an `astropy.table.Table` without rows whose columns carry their meaning, UCDs as ``meta["ucd"]``."""
    from astropy.table import Column, Table

    table = Table(meta=dict(about))
    for f in schema:
        meaning, kind = describe(f), f.type
        shape = (0, kind.list_size) if pa.types.is_fixed_size_list(kind) else (0,)
        kind = kind.value_type if len(shape) == 2 else kind
        about_column = {"unit": meaning.unit or None, "description": meaning.description or None}
        data = np.zeros(shape, str if pa.types.is_string(kind) else kind.to_pandas_dtype())
        table[f.name] = Column(data, **about_column, meta={"ucd": meaning.ucd} if meaning.ucd else {})
    return table


# ---- rows ---------------------------------------------------------------------------------------------------------


BATCH = 16_384
BETWEEN = "|"


@dataclass(frozen=True)
class Rows:
    """A table to be gone through more than once, batch by batch, each time the same.

    Parameters
    ----------
    schema : pyarrow.Schema
    count : int
        Rows.
    batches : callable
        Gives the rows from the beginning, as tables of that schema.
    about : dict of str
        Metadata of the table: model, its hash, version of the package, configuration, ...
    """

    schema: pa.Schema
    count: int
    batches: Callable[[], Iterator[pa.Table]]
    about: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_table(cls, table: pa.Table, about: Mapping[str, str]) -> Rows:
        """Return the rows of a table in memory."""
        starts = range(0, table.num_rows, BATCH)
        return cls(table.schema, table.num_rows, lambda: (table.slice(start, BATCH) for start in starts), about)

    def table(self) -> pa.Table:
        """Return all rows in memory."""
        return pa.concat_tables([self.schema.empty_table(), *self.batches()])

    def portable(self, longest: float = np.inf) -> Rows:
        """Return the columns of numbers, truth values, text and lists of numbers of one length.

        Parameters
        ----------
        longest : float
            Length above which lists are left out.

        Notes
        -----
        Whole numbers of 64 bits without a sign are signed, or text where one is too large; that takes a look at them
        before. A column with another value that can't be converted is empty in that batch, and a warning names it.
        """
        kinds = {f.name: portable_type(f.type) for f in self.schema}
        kinds |= dict.fromkeys(self._too_large(), pa.string())
        fields = [f for f in self.schema if (k := kinds[f.name]) and getattr(k, "list_size", 0) <= longest]
        schema = pa.schema([f.with_type(kinds[f.name]) for f in fields])

        def batches() -> Iterator[pa.Table]:
            for batch in self.batches():
                yield pa.table([_cast(batch[f.name], f) for f in schema], schema=schema)

        return Rows(schema, self.count, batches, self.about)

    def _too_large(self) -> list[str]:
        """Return the columns of unsigned 64-bit numbers that no signed one can hold: identifiers, as a rule."""
        names = [f.name for f in self.schema if f.type == pa.uint64()]
        largest = dict.fromkeys(names, 0)
        for batch in self.batches() if names else ():
            for name in names:
                largest[name] = max(largest[name], pc.max(batch[name]).as_py() or 0)
        return [name for name, value in largest.items() if value > np.iinfo(np.int64).max]


def to_astropy(rows: Rows) -> Any:
    """Return the portable columns as an `astropy.table.Table`, nulls masked."""
    from astropy.table import MaskedColumn

    portable = rows.portable()
    result, data = astropy_table(portable.schema, portable.about), portable.table()
    columns = {}
    for f in portable.schema:
        about, column = result[f.name], data[f.name].combine_chunks()
        if pa.types.is_fixed_size_list(f.type):
            values: Any = list_floats(column, f.type.list_size)
        else:
            filler = "" if pa.types.is_string(f.type) else False if pa.types.is_boolean(f.type) else 0
            values = np.array(column.fill_null(filler).to_pylist(), about.dtype if about.dtype.kind != "U" else str)
        mask = None if values.ndim > 1 else np.asarray(column.is_null())
        columns[f.name] = MaskedColumn(values, mask=mask, unit=about.unit, description=about.description)
    return type(result)(columns, meta=result.meta)


def portable_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that astronomers' formats have for an Arrow type, None if they have none.

    They know no unsigned integers of more than 8 bits: the next wider signed one holds those. Lists of names are one
    text, with `BETWEEN` between them.
    """
    if pa.types.is_dictionary(kind):
        return portable_type(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        floating = pa.types.is_floating(kind.value_type)
        return pa.list_(portable_type(kind.value_type), kind.list_size) if floating else None
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return pa.string()
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return None
    if pa.types.is_unsigned_integer(kind):
        return {8: pa.uint8(), 16: pa.int32()}.get(kind.bit_width, pa.int64())
    if pa.types.is_floating(kind):
        return pa.float64() if kind.bit_width == 64 else pa.float32()
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return pa.int16() if pa.types.is_int8(kind) else kind
    return pa.float64() if pa.types.is_decimal(kind) else pa.string()


def _cast(column: pa.ChunkedArray, wanted: pa.Field) -> pa.Array:
    array = column.combine_chunks()
    if array.type.equals(wanted.type):
        return array
    try:
        if pa.types.is_fixed_size_list(array.type):
            kind = wanted.type.value_type.to_pandas_dtype()
            return fixed_lists(list_floats(array, array.type.list_size).astype(kind), array.is_null())
        if pa.types.is_list(array.type):
            return pc.binary_join(array, BETWEEN)
        return (array.dictionary_decode() if pa.types.is_dictionary(array.type) else array).cast(wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        log.warning("column %s can't be written and stays empty (%s): .parquet holds it", wanted.name, error)
        return pa.nulls(len(array), wanted.type)


def list_floats(column: pa.Array, width: int) -> np.ndarray:
    """Return lists of one length as an array (n, width), NaN where there is none."""
    data = np.full((len(column), width), np.nan, np.float64 if column.type.value_type.bit_width == 64 else np.float32)
    valid = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    data[valid] = column.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return data


def fixed_lists(data: np.ndarray, null: pa.Array | None = None) -> pa.FixedSizeListArray:
    """Return the rows of an array (n, width) as Arrow lists."""
    flat = pa.array(np.ascontiguousarray(data).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, data.shape[1], mask=null)


class Limits(NamedTuple):
    """Properties of a column that a format states before its first row."""

    width: int = 0  # of text: the longest, in bytes
    ascii: bool = True  # whether text is
    nulls: bool = False
    low: int | None = None  # of integers: the least


def column_limits(rows: Rows) -> dict[str, Limits]:
    """Return the limits of the columns with text and integers, in one pass over the rows."""
    limits: dict[str, Limits] = {}
    for batch in rows.batches():
        for f in rows.schema:
            if pa.types.is_string(f.type) or pa.types.is_integer(f.type):
                limits[f.name] = _widened(limits.get(f.name, Limits()), batch[f.name])
    return limits


def _widened(known: Limits, column: pa.ChunkedArray) -> Limits:
    nulls = known.nulls or column.null_count > 0
    if pa.types.is_integer(column.type):
        low = pc.min(column).as_py()
        lows = [x for x in (known.low, low) if x is not None]
        return Limits(nulls=nulls, low=min(lows) if lows else None)
    width = max(known.width, pc.max(pc.binary_length(column)).as_py() or 0)
    ascii_only = known.ascii and bool(pc.all(pc.string_is_ascii(column)).as_py() in (True, None))
    return Limits(width, ascii_only, nulls)
