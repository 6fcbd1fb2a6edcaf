"""Other libraries' models as rfjax sees them, and rfjax as they see models; each needs its library, and only when used."""
