"""What a node makes of what it knows: of databases, of the VIP, of operators' wishes.

Each part is given what it may look at when it is made: those above it in `parts`, and none below.
It decides in its turn, and returns the procedure that it wants; what it wants of an election it
tells consensus, which may refuse.
"""
