"""A training of OpenSeq2Seq: what it says while it runs, what is known of its run, and how one is started."""
