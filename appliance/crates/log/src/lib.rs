//! The segment log: group commit, header chain, recovery, salvage.
