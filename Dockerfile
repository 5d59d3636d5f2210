# The demo: the whole fleet on its built-in exchange. `docker run --network host tradefleet`
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 tradefleet
WORKDIR /app
COPY requirements.lock pyproject.toml ./
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY . .
RUN .venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && chown -R tradefleet:tradefleet /app

USER tradefleet
# The api binds loopback only and a published port would not reach it: the container shares the host's network.
ENV TRADEFLEET_PROFILE=demo
VOLUME /app/data
STOPSIGNAL SIGTERM
CMD ["sh", "-c", "mkdir -p -m 700 data/run && .venv/bin/fleet init && .venv/bin/fleet sim history && exec .venv/bin/supervisord --nodaemon -c supervisord.conf"]
