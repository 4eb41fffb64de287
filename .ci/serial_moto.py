"""`moto_server`, which carries out one call after the other. By itself it changes an item in steps, and other calls come between them.

DynamoDB carries out each write as a whole.
"""

import threading

import moto.server

serve = moto.server.run_simple


def serve_in_turn(host, port, application, **options):
    turn = threading.Lock()

    def in_turn(environ, start_response):
        with turn:
            return [b"".join(application(environ, start_response))]

    serve(host, port, in_turn, **options)


moto.server.run_simple = serve_in_turn
moto.server.main()
