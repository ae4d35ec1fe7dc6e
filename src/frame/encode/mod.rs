//! Native pixels become a codestream, for links that cannot carry them as they are.
