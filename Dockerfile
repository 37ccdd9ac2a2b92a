# Two images. Each contains static programs and nothing else that can be run: no shell, no package manager.
#   docker build --target node .        raftnode and raftctl; also without --target
#   docker build --target operator .    manager
# Without BuildKit, BUILDPLATFORM and the TARGETs below are unset, and all stages are for this machine.
FROM --platform=${BUILDPLATFORM:-linux} golang:1.26 AS modules
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download

# Each program is built only from what it imports, so that a change of one does not rebuild the other's image.
FROM modules AS build-operator
COPY api api
COPY controllers controllers
COPY node/api node/api
COPY node/client node/client
COPY node/http1 node/http1
COPY node/jsontext node/jsontext
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./controllers/cmd/manager

FROM modules AS build-node
COPY node node
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./node/cmd/raftnode ./node/cmd/raftctl
# A new volume that is mounted on /data gets the owner of this directory.
RUN mkdir /data

# Its user 65532 is the one below; it has /tmp, time zones and CA certificates, which scratch lacks.
FROM gcr.io/distroless/static-debian12:nonroot AS operator
COPY --from=build-operator /out/ /
USER 65532:65532
EXPOSE 8081 8443
ENTRYPOINT ["/manager"]

# A build without --target makes the last stage.
FROM gcr.io/distroless/static-debian12:nonroot AS node
COPY --from=build-node /out/ /
COPY --from=build-node --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
# By default five nodes run in one container, with an API each; `serve` listens on 8080, and on 7080 for its peers.
EXPOSE 8080 8081 8082 8083 8084 7080
ENTRYPOINT ["/raftnode"]
CMD ["local", "--nodes", "5", "--data-dir", "/data", "--listen", "0.0.0.0:8080"]
