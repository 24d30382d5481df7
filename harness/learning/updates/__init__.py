"""Update rules: how a gradient becomes a change of conductance."""
