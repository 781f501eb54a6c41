"""MongoDB: the driver, its client, what its errors mean, and the local mongod.

How documents are stored is in `odm`; how an error is answered is in `http`.
"""
