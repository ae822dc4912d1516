# docker build -f deploy/kamailio.Dockerfile -t voxpy-kamailio .
# Debian's Kamailio, for the files that `voxpy fleet kamailio` writes to /fleet.
FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates kamailio kamailio-tls-modules kamailio-websocket-modules \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/kamailio-follow /usr/local/bin/kamailio-follow
ENTRYPOINT ["/usr/local/bin/kamailio-follow"]
CMD ["/fleet"]
