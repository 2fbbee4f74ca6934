//! The settlement layer's services: the proposer, which puts output roots on L1 as dispute games,
//! and what a user needs to withdraw.
