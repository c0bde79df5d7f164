"""Self-attention over long light curves with narrow heads.

PyTorch's attention multiplies small matrices, with more overhead than arithmetic for heads of only 8 numbers. On a CPU
the compiled kernel of `goodricke.models.attention_kernel` replaces it at inference, if numba is installed (the extra
``goodricke[fast]``).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import e, log2, sqrt
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

LONG = 512  # frames from which on the kernel is worth its compilation
WIDEST = 16  # numbers per head up to which it is faster


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Return softmax(q k^T / sqrt(c)) v of every head (Eq. 1), (B, h, T, c).

    Parameters
    ----------
    q, k, v : Tensor (B, h, T, c)
    mask : Tensor (B, T), bool, optional
        True for points, a prefix of each row: the keys. A light curve without points attends to all frames. None where
        every frame is a point: PyTorch's fastest attention on a GPU takes no mask.
    """
    if mask is None:
        if not (_suits(q) and has_kernel()):
            return F.scaled_dot_product_attention(q, k, v)
        mask = q.new_ones(q.shape[0], q.shape[2], dtype=torch.bool)
    keys = mask | ~mask.any(1, keepdim=True)  # (B, T): all frames without a point, else NaN
    if _suits(q) and has_kernel():
        return attend_compiled(q.float(), k.float(), v.float(), keys.sum(1)).to(q.dtype)
    # one row of keys for all heads and queries, expanded without a copy where T is a multiple of 8
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keys[:, None, None])


def _suits(q: Tensor) -> bool:
    plain = q.device.type == "cpu" and q.dtype in (torch.float32, torch.bfloat16) and not torch.is_grad_enabled()
    if not plain or torch.compiler.is_compiling():  # an exported network has only standard operations, for any length
        return False
    return q.shape[2] >= LONG and q.shape[3] <= WIDEST


@cache
def has_kernel() -> bool:
    """Return whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def attend_compiled(q: Tensor, k: Tensor, v: Tensor, keys: Tensor) -> Tensor:
    """Return the result of `attend`, with the first ``keys`` (B,) frames of each light curve as keys."""
    from goodricke.models import attention_kernel

    kernel = cast(Callable[..., None], attention_kernel.attend)
    B, h, T, c = q.shape
    result = torch.empty(B * h, T, c)
    scaled = q * (log2(e) / sqrt(c))  # the kernel works with powers of two
    rows = [x.reshape(B * h, T, c).contiguous().numpy() for x in (scaled, k, v)]
    rows += [keys.repeat_interleave(h).numpy(), result.numpy()]
    threads = min(torch.get_num_threads(), B * h)
    parts = zip(*(np.array_split(x, threads) for x in rows), strict=True)
    if threads == 1:
        kernel(*next(parts), tuple(range(c)))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: kernel(*part, tuple(range(c))), parts))
    return result.view(B, h, T, c)
