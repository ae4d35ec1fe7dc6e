//! the standing search
