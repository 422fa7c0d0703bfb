import psycopg
def test_a(database):
    with psycopg.connect(database) as c: assert c.execute("select count(*) from tasks").fetchone()==(0,)
def test_b(database):
    with psycopg.connect(database) as c: assert c.execute("select count(*) from tasks").fetchone()==(0,)
