"""S1: raw records become observations. `decoded.decoded` is the whole of it."""
