//! what yields frames or instances
