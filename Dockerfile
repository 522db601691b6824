# Build:  docker build -t hostmesh:0.1.0 .
# The registry, and a daemon that only offers the explicit proxy, run as the unprivileged user of the image.
# A daemon that captures needs the host's network, user 0 and two capabilities:
#   docker run --network host --user 0 --read-only --tmpfs /tmp \
#     --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW --security-opt no-new-privileges \
#     -v /run/xtables.lock:/run/xtables.lock -v /var/lib/hostmesh:/var/lib/hostmesh hostmesh:0.1.0 daemon

FROM node:24-slim AS build
WORKDIR /opt/hostmesh
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY daemon daemon
COPY iptables iptables
RUN npm run build && npm prune --omit=dev

FROM node:24-slim
# What the capture rules are made with; the data path itself needs only Node.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends iptables ipset iproute2 nftables \
  && rm -rf /var/lib/apt/lists/* \
  && install --directory --owner=node --group=node /var/lib/hostmesh
WORKDIR /opt/hostmesh
COPY --from=build /opt/hostmesh/package.json ./
COPY --from=build /opt/hostmesh/node_modules node_modules
COPY --from=build /opt/hostmesh/dist dist
COPY LICENSE ./
# An ordinary user's data folder is $XDG_STATE_HOME/hostmesh: so it is the same for both users.
ENV NODE_ENV=production XDG_STATE_HOME=/var/lib
USER node
EXPOSE 4140 15008 15010 15012 15020 15021
# The guardian handles signals and reaps its children, so no init is needed.
ENTRYPOINT ["node", "/opt/hostmesh/dist/src/cli/main.js"]
CMD ["--help"]
