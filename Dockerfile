# Build:  docker buildx build --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
#           --output type=docker,name=hostmesh:0.1.0,rewrite-timestamp=true .
# The same sources, base image and Debian packages give the same bytes. So for a build that can be repeated name the base
# by its digest (--build-arg BASE=node:24-slim@sha256:...), and the archive of Debian's snapshots (or a mirror of it) with the
# moment whose packages are taken (--build-arg DEBIAN_ARCHIVE=http://HOST/archive --build-arg DEBIAN_SNAPSHOT=20261101T000000Z);
# without them they are those of today.
#
# The registry, and a daemon that only offers the explicit proxy, run as the unprivileged user of the image.
# A daemon that captures needs the host's network, user 0 and a few capabilities; its data path runs without any:
#   docker run --network host --user 0 --read-only --tmpfs /tmp --security-opt no-new-privileges --cap-drop ALL \
#     --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SETUID --cap-add SETGID --cap-add KILL --cap-add CHOWN \
#     -v /run/xtables.lock:/run/xtables.lock -v /var/lib/hostmesh:/var/lib/hostmesh hostmesh:0.1.0 daemon --user 1000:1000
ARG BASE=node:24-slim

FROM ${BASE} AS build
ARG SOURCE_DATE_EPOCH
WORKDIR /opt/hostmesh
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY daemon daemon
COPY iptables iptables
COPY bench bench
# npm's own note of what it has installed names this moment.
RUN npm run build && chmod 755 dist/src/cli/main.js \
  && npm run --silent sbom > sbom.cdx.json \
  && npm prune --omit=dev && rm -f node_modules/.package-lock.json

FROM ${BASE}
ARG DEBIAN_ARCHIVE=""
ARG DEBIAN_SNAPSHOT=""
# What the capture rules are made with; the data path itself needs only Node. What apt and dpkg note of this moment goes.
RUN if [ -n "${DEBIAN_SNAPSHOT}" ]; then \
    sed -i "s,^URIs: .*/\(debian[a-z-]*\)/*$,URIs: ${DEBIAN_ARCHIVE:?}/\1/${DEBIAN_SNAPSHOT}," \
      /etc/apt/sources.list.d/debian.sources; \
  fi \
  && apt-get -o Acquire::Check-Valid-Until=false update \
  && apt-get install --yes --no-install-recommends iptables ipset iproute2 nftables \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/log/* \
  && install --directory --owner=node --group=node /var/lib/hostmesh \
  && ln -s /opt/hostmesh/dist/src/cli/main.js /usr/local/bin/hostmesh
WORKDIR /opt/hostmesh
COPY --from=build /opt/hostmesh/package.json /opt/hostmesh/sbom.cdx.json ./
COPY --from=build /opt/hostmesh/node_modules node_modules
COPY --from=build /opt/hostmesh/dist dist
COPY LICENSE ./
# An ordinary user's data folder is $XDG_STATE_HOME/hostmesh: so it is the same for both users.
ENV NODE_ENV=production XDG_STATE_HOME=/var/lib
USER node
EXPOSE 4140 15008 15010 15012 15020 15021
# The guardian handles signals and reaps its children, so no init is needed.
ENTRYPOINT ["hostmesh"]
CMD ["--help"]
