//! The card image from one manifest: partitions, boot files, provisioning.
