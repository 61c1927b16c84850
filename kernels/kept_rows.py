"""Keys and values of new tokens, written to where they are kept; on a GPU by one kernel.

T tokens · R rows of all pages · H heads · D width of a key head · V width of a value head.
"""

from torch import Tensor

from kernels.implementations import is_triton


def keep_rows(
    kept_RHD: Tensor,
    kept_RHV: Tensor,
    row_T: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    implementation: str | None = None,
) -> None:
    """Writes keys and values to the rows `row_T` (int64) of those that are kept, which are without
    gaps and of the same type. Of tokens with the same row any one is written.

    `implementation` is as in `hstu_attention`. Raises ValueError for shapes and types that do not
    go together; rows out of range are not looked for. No autograd.
    """
    for kept, new in ((kept_RHD, k_THD), (kept_RHV, v_THV)):
        if new.shape != (len(row_T), *kept.shape[1:]) or kept.dtype != new.dtype:
            raise ValueError(
                f"{tuple(new.shape)} of {new.dtype} for {len(row_T)} rows does not go into "
                f"{tuple(kept.shape)} of {kept.dtype}"
            )
    if is_triton(k_THD, implementation):
        from kernels.kept_rows_triton import write

        write(kept_RHD, kept_RHV, row_T, k_THD, v_THV)
    else:
        kept_RHD[row_T] = k_THD
        kept_RHV[row_T] = v_THV
