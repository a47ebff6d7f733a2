"""Functions for CVAT's agent: :mod:`.tracker` follows shapes, :mod:`.interactor` answers clicks and boxes."""
