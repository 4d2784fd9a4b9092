"""Which function a name or a host means."""

from __future__ import annotations

from aether.domain.function import FunctionConfig


class Names:
    """The functions there are, found by id, by name and by host."""

    def __init__(self, base_domain: str = "") -> None:
        self._base_domain = base_domain
        self.functions: dict[str, FunctionConfig] = {}
        """By id."""
        self._ids_by_name: dict[str, str] = {}
        self._ids_by_domain: dict[str, str] = {}

    def find(self, id_or_name: str) -> FunctionConfig | None:
        return self.functions.get(self._ids_by_name.get(id_or_name, id_or_name))

    @property
    def has_hosts(self) -> bool:
        """Whether any host name can mean a function."""
        return bool(self._base_domain or self._ids_by_domain)

    def find_by_host(self, host: str) -> FunctionConfig | None:
        """The function that has this domain, or the name before the base domain."""
        function_id = self._ids_by_domain.get(host)
        if function_id is not None:
            return self.functions.get(function_id)
        name, dot, rest = host.partition(".")
        return self.find(name) if dot and rest == self._base_domain else None

    def owns_host(self, host: str) -> bool:
        """Whether such a host can only mean a function, there or not."""
        return bool(self._base_domain) and host.endswith("." + self._base_domain)

    def put(self, config: FunctionConfig) -> None:
        """A function is there, or has changed."""
        self._unindex(self.functions.get(config.id))
        self.functions[config.id] = config
        self._ids_by_name[config.name] = config.id
        self._ids_by_domain.update(dict.fromkeys(config.domains, config.id))

    def remove(self, function_id: str) -> None:
        self._unindex(self.functions.pop(function_id, None))

    def _unindex(self, config: FunctionConfig | None) -> None:
        """Take a function's names away, unless another has them by now."""
        if config is None:
            return
        for index, name in (
            (self._ids_by_name, config.name),
            *((self._ids_by_domain, d) for d in config.domains),
        ):
            if index.get(name) == config.id:
                del index[name]
