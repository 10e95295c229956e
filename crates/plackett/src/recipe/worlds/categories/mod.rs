//! Category paths of a collection in recipes: a hierarchy made of titles and topics, the paths of documents, and those of texts that
//! stand for them.

mod assigned;
mod topics;

pub use assigned::AssignedPaths;
pub use topics::own_paths;
